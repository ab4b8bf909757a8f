// What templates render to, and what the reference's interpolation makes of it. The expected texts
// are Python's and Jinja's own answers.

#include "template_rig.h"

TEST(text_around_expressions_stays)
{
    // clang-format off
    static const Row rows[] = {
        {"plain", "plain"},
        {"", ""},
        {"a\n", "a"},
        {"a\n\n", "a\n"},
        {"a\015\nb", "a\nb"},
        {"/calls/{{ record.id }}/x", "/calls/7/x"},
        {"{{ record.id }}{{ record.name }}", "7Ann"},
        {"a {{- 1 -}} b", "a1b"},
        {"{%- if true -%}  a  {%- endif -%}  b", "ab"},
        {"a {# gone #} b", "a  b"},
        {"a {#- gone -#} b", "ab"},
        {"{% raw %}{{ x }}{% endraw %}", "{{ x }}"},
        {"{{ '}}' }}{{ \"{{\" }}", "}}{{"},
        {"{{ {'a': {'b': {}}} }}", "{'a': {'b': {}}}"},
        {"{{-1}}|{{ -1 }}", "1|-1"},
        {"x { y } %} }}", "x { y } %} }}"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(members_and_items_are_found_as_jinja_does)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ config.region }}", "EU"},
        {"{{ config['region'] }}", "EU"},
        {"{{ config.nested.key }}", "v"},
        {"{{ config['nested']['key'] }}", "v"},
        {"{{ config.missing }}|", "|"},
        {"{{ config.missing.deeper }}", "<undefined>"},
        {"{{ config['missing']['deeper'] }}", "<undefined>"},
        {"{{ record.none }}", "None"},
        {"{{ record.none.x }}|", "|"},
        {"{{ record.none.x.y }}", "<undefined>"},
        {"{{ config.tags[0] }}{{ config.tags[-1] }}{{ config.tags[5] }}", "ab"},
        {"{{ config.tags.1 }}", "b"},
        {"{{ record['items'] }}", "5"},
        {"{{ response._links.next }}|", "|"},
        {"{{ config.get('region') }}", "EU"},
        {"{{ config.get('nope') }}", "None"},
        {"{{ config.get('nope', 'd') }}", "d"},
        {"{{ config.get('nope', {}).get('x', 5) }}", "5"},
        {"{{ config.get('nope').get('x') }}", "<undefined>"},
        {"{{ response.data[0]['id'] }}", "5"},
        {"{{ 'abc'[1] }}{{ 'abc'[-1] }}{{ 'abc'[9] }}|", "bc|"},
        {"{{ headers['link']['next']['url'] }}", "u"},
        {"{{ stream_partition.account_id }}{{ stream_interval['start_time'] }}", "172024-01-01T00:00:00+0000"},
        {"{{ record.obj }}", "{'a': 1, 'b': [True, None, \"it's\"]}"},
        {"{{ config.tags }}", "['a', 'b']"},
        {"{{ record.big }}", "18446744073709551615"},
        {"{{ nobody }}", "<error>"},
        {"{{ nobody | default('x') }}", "<error>"},
        {"{{ config() }}", "<type error>"},
        {"{{ config.nope() }}", "<undefined>"},
        {"{{ none['x'] }}|{{ 5['x'] }}|", "||"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(slices_are_pythons)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ stream_slice.start_time[:-2] + ':' + stream_slice.start_time[-2:] }}", "2024-01-01T00:00:00+00:00"},
        {"{{ 'abcdef'[1:4] }}{{ 'abcdef'[::-2] }}{{ 'abc'[5:] }}|", "bcdfdb|"},
        {"{{ '\303\274n\303\257'[::-1] }}{{ '\303\274n\303\257'[1:] }}", "\303\257n\303\274n\303\257"},
        {"{{ [1, 2, 3, 4][::2] }}{{ (1, 2, 3)[1:] }}{{ [1, 2][-1:] }}", "[1, 3](2, 3)[2]"},
        {"{{ [1][0:1:0] }}", "<error>"},
        {"{{ record.id[1:] }}", "<type error>"},
        {"{{ config.nope[1:] }}", "<undefined>"},
        {"{{ config.region['x':] }}", "<type error>"},
        {"{{ config.tags[:1] }}", "['a']"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(numbers_compute_as_python_does)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}", "3 -4 2 -2 3.0 0.5"},
        {"{{ 10 / 2 }} {{ 3 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}", "5.0 1.5 1024 0.5 64 4"},
        {"{{ 1 / 0 }}", "<error>"},
        {"{{ 1 % 0 }}", "<error>"},
        {"{{ 1 + 'a' }}", "<type error>"},
        {"{{ 'a' + 1 }}", "<type error>"},
        {"{{ config.nope + 1 }}", "<undefined>"},
        {"{{ 'a' ~ config.nope ~ 1 ~ none }}", "a1None"},
        {"{{ 'ab' * 2 }}{{ [1] * 2 }}{{ 'x' * -1 }}|", "abab[1, 1]|"},
        {"{{ [1] + [2] }}{{ (1,) + (2,) }}", "[1, 2](1, 2)"},
        {"{{ [1] + (2,) }}", "<type error>"},
        {"{{ true + 1 }} {{ -true }} {{ not 0 }}", "2 -1 True"},
        {"{{ 1e3 }} {{ 1.5e-3 }} {{ 1e16 }} {{ 0.0001 }} {{ 0.00001 }} {{ 0.1 + 0.2 }} {{ 100.0 }} {{ 5e-324 }}", "1000.0 0.0015 1e+16 0.0001 1e-05 0.30000000000000004 100.0 5e-324"},
        {"{{ 0x1f }} {{ 0b11 }} {{ 0o17 }} {{ 1_000 }}", "31 3 15 1000"},
        {"{{ -9223372036854775808 }} {{ 12345678901234567890 }}", "-9223372036854775808 12345678901234567890"},
        {"{{ -1 | abs }} {{ (-1) | abs }}", "1 1"},
        {"{{ 1 + 2 ~ 3 }}", "<type error>"},
        {"{{ 'a' ~ 1 ~ 2.0 }}", "a12.0"},
        {"{{ record.amount * 2 }} {{ (config.limit | int) + 1 }}", "25.0 51"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(comparisons_and_logic)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 == 2 }}", "True False True"},
        {"{{ 1 == 1.0 }} {{ 1 == true }} {{ 1 == '1' }} {{ [1] == (1,) }} {{ none == false }}", "True True False False False"},
        {"{{ record.obj == {'a': 1.0, 'b': [true, none, \"it's\"]} }}", "True"},
        {"{{ 'a' in config.tags }} {{ 'z' not in config.tags }} {{ 'region' in config }} {{ 'eg' in 'region' }}", "True True True True"},
        {"{{ 1 in 'a' }}", "<type error>"},
        {"{{ 'a' in 5 }}", "<type error>"},
        {"{{ 'a' in config.nope }} {{ config.nope in [1] }}", "False False"},
        {"{{ none < 1 }}", "<type error>"},
        {"{{ config.nope < 1 }}", "<undefined>"},
        {"{{ config.nope == 1 }} {{ config.nope != 1 }} {{ config.nope == config.none }}", "False True True"},
        {"{{ [1, 2] < [1, 3] }} {{ (1,) < (1, 0) }} {{ 'a' < 'b' }}", "True True True"},
        {"{{ config.empty or 'd' }} {{ config.region or 'd' }} {{ 0 or '' or none }} {{ 1 and 2 }}", "d EU None 2"},
        {"{{ not config.nope }} {{ not not 1 }}", "True True"},
        {"{{ 'x' if config.flag else 'y' }}{{ 'x' if config.empty }}|", "x|"},
        {"{{ 1 if 0 else 2 if 0 else 3 }}", "3"},
        {"{{ (1 if false).x }}", "<undefined>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(literals_print_as_python_prints_them)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ [1, 'a', none, true, 1.0, {'k': [()]}] }}", "[1, 'a', None, True, 1.0, {'k': [()]}]"},
        {"{{ (1,) }}{{ () }}{{ 1, 2 }}", "(1,)()(1, 2)"},
        {"{{ {'a': 1, 'a': 2, 1: 3} }}", "{'a': 2, 1: 3}"},
        {"{{ {[1]: 2} }}", "<type error>"},
        {"{{ [\"it's\", 'q\"', 'a\\'b\"c', 'x\\ny', '\\x00', '\\u200b', '\303\274', '\\\\'] }}", "[\"it's\", 'q\"', 'a\\'b\"c', 'x\\ny', '\\x00', '\\u200b', '\303\274', '\\\\']"},
        {"{{ 'a\\u00e9\\x41\\q' }}", "a\303\251A\\q"},
        {"{{ 'a' 'b' }}", "ab"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(tests_hold)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ 1 is defined }} {{ config.nope is defined }} {{ config.nope is not defined }}", "True False True"},
        {"{{ none is none }} {{ '' is none }} {{ record.none is none }}", "True False True"},
        {"{{ config.flag is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }}", "True False True False"},
        {"{{ config is mapping }} {{ config.tags is sequence }} {{ 'a' is string }} {{ 1 is number }} {{ 1.0 is float }} {{ 1 is integer }} {{ true is integer }} {{ true is boolean }}", "True True True True True True False True"},
        {"{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }}", "True True True False"},
        {"{{ 1 is eq 1 }} {{ 1 is in [1] }} {{ 2 is gt 1 }} {{ 'a' is lower }} {{ 'A1' is upper }}", "True True True True True"},
        {"{{ 'a' is odd }}", "<type error>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(filters_of_text)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ ' a ' | trim }}|{{ 'xax' | trim('x') }}", "a|a"},
        {"{{ 'aB' | lower }}{{ 'aB' | upper }}{{ 'aB c' | capitalize }}{{ 'aB c-d(e' | title }}{{ 'stra\303\237e' | upper }}", "abABAb cAb C-D(ESTRASSE"},
        {"{{ 5 | lower }}{{ config.nope | lower }}|", "5|"},
        {"{{ 'aaa' | replace('a', 'b', 2) }} {{ 5 | replace(5, 6) }}", "bba 6"},
        {"{{ 'a b/c?' | urlencode }} {{ {'a b': 1, 'c': 'd&e'} | urlencode }}", "a%20b/c%3F a+b=1&c=d%26e"},
        {"{{ 'hello world foo' | truncate(9) }}{{ 'hello world foo' | truncate(9, true) }}", "hello...hello ..."},
        {"{{ 'a\\nb' | indent }}", "a\n    b"},
        {"{{ '<a&' | e }}", "&lt;a&amp;"},
        {"{{ '%s of %03d' | format('a', 7) }}", "a of 007"},
        {"{{ 5 | string }} {{ 'a' | string }} {{ {'a': '\303\274', 'b': [none, true]} | string }}", "\"\"\"5\"\"\" a \"\"\"{\"a\": \"\\u00fc\", \"b\": [null, true]}\"\"\""},
        {"{{ config.nope | string }}", "<type error>"},
        {"{{ {'b': 1, 'a': '<'} | tojson }}", "{\"a\": \"\\u003c\", \"b\": 1}"},
        {"{{ 'a b  c' | wordcount }}{{ 'x' | center(5) }}|", "3  x  |"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(filters_of_numbers)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ '42' | int }} {{ ' 4_2 ' | int }} {{ '42.9' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ none | int }} {{ '0x1f' | int(0, 16) }} {{ true | int }}", "42 42 42 0 7 0 31 1"},
        {"{{ config.nope | int }}", "<undefined>"},
        {"{{ '1.5' | float }} {{ 'x' | float }} {{ 'x' | float(2) }} {{ '1e5' | float }} {{ 3 | float }}", "1.5 0.0 2 100000.0 3.0"},
        {"{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 1.1 | round(1, 'ceil') }} {{ 1.19 | round(1, 'floor') }} {{ 5 | round }}", "2.0 4.0 2.67 1.1 1.1 5"},
        {"{{ -5 | abs }} {{ -1.5 | abs }}", "5 1.5"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(filters_of_sequences)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ config.tags | length }} {{ 'abc' | length }} {{ config.nope | length }} {{ config.nested | count }}", "2 3 0 1"},
        {"{{ 5 | length }}", "<type error>"},
        {"{{ config.tags | first }}{{ config.tags | last }}{{ [] | first }}|", "ab|"},
        {"{{ config.tags | join(',') }} {{ [1, none] | join('-') }} {{ record.nodes | join(',', attribute='id') }}", "a,b 1-None 1,2,3"},
        {"{{ 'abc' | list }} {{ config.nested | list }}", "['a', 'b', 'c'] ['key']"},
        {"{{ 5 | list }}", "<type error>"},
        {"{{ record.nodes | map(attribute='id') | list }}", "[1, 2, 3]"},
        {"{{ record.nodes | map(attribute='kind', default='-') | join }}", "xy-"},
        {"{{ ['1', '2'] | map('int') | sum }} {{ ['A'] | map('lower') | first }}", "3 a"},
        {"{{ record.nodes | selectattr('kind', 'equalto', 'y') | map(attribute='id') | first | default(0) }}", "2"},
        {"{{ record.nodes | selectattr('kind', 'equalto', 'z') | map(attribute='id') | first | default(0) }}", "0"},
        {"{{ record.nodes | selectattr('kind') | list | length }} {{ record.nodes | rejectattr('kind', 'defined') | list }}", "2 [{'id': 3}]"},
        {"{{ [1, 2, 3] | select('odd') | list }} {{ [1, 0] | select | list }} {{ [1, 2] | reject('gt', 1) | list }}", "[1, 3] [1] [1]"},
        {"{{ record.none | selectattr('x') | list }} {{ 0 | map('int') | list }}", "[] []"},
        {"{{ [1] | map('nope') | list }}", "<error>"},
        {"{{ [1] | select('nope') | list }}", "<error>"},
        {"{{ [3, 1, 2] | sort }} {{ ['b', 'A'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 2] | sort(reverse=true) }}", "[1, 2, 3] ['A', 'b'] ['A', 'b'] [2, 1]"},
        {"{{ [1, 'a'] | sort }}", "<type error>"},
        {"{{ [1, 2, 1] | unique | list }} {{ [3, 1] | min }}{{ [3, 1] | max }} {{ [1, 2.5] | sum }} {{ 'abc' | reverse }} {{ [1, 2] | reverse | list }}", "[1, 2] 13 3.5 cba [2, 1]"},
        {"{{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1} | items | list }}", "[('a', 2), ('b', 1)] [('b', 1)]"},
        {"{{ [1, 2, 3] | batch(2, 0) | list }}", "[[1, 2], [3, 0]]"},
        {"{{ config.nope | default('d') }} {{ config.empty | default('d') }} {{ config.empty | default('d', true) }} {{ none | d('x') }}", "d  d None"},
        {"{{ config.nope.x | default('d') }}", "<undefined>"},
        {"{{ ([] | map('int')) is sequence }} {{ 1 if [] | map('int') else 2 }}", "False 1"},
        {"{{ [1] | map('int') | length }}", "<type error>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(digests_and_base64)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ 'abc' | hash }}", "900150983cd24fb0d6963f7d28e17f72"},
        {"{{ 'abc' | hash('sha256') }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"{{ 'abc' | hash('sha1', 'salt') }} {{ 5 | hash('md5') }}", "99198dfc48e034c66356183f854eb322f607c1dd e4da3b7fbbce2345d7772b0674a318d5"},
        {"{{ 'a' | hash('nope') }}", "<error>"},
        {"{{ 'message' | hmac('key') }}", "6e9ef29b75fffc5b7abae527d58fdadb2fe42e7219011976917343065f58ed4a"},
        {"{{ 'm' | hmac('k', 'md5') }}", "<error>"},
        {"{{ 'user:pass' | base64encode }} {{ '' | base64encode }}|{{ '\303\274' | base64encode }}", "dXNlcjpwYXNz |w7w="},
        {"{{ 'YWJj' | base64decode }} {{ 'YW Jj' | base64decode }} {{ 'YQ==' | base64decode }}", "abc abc a"},
        {"{{ 'YWJ' | base64decode }}", "<error>"},
        {"{{ 5 | base64encode }}", "<error>"},
        {"{{ 'abc' | base64binascii_decode }}", "YWJj"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(regular_expressions_search_and_replace)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ headers.Link | regex_search('after=([^&>]+)') }}", "Q1"},
        {"{{ 'abc' | regex_search('b') }}|", "|"},
        {"{{ 'abc' | regex_search('(x)') }}|", "|"},
        {"{{ 'ac' | regex_search('a(b)?c') }}", "None"},
        {"{{ 5 | regex_search('(a)') }}", "<type error>"},
        {"{{ 'a1b22' | regex_replace('\\\\d+', '#') }} {{ 'a b' | regex_replace('(\\\\w) (\\\\w)', '\\\\2 \\\\1') }}", "a#b# b a"},
        {"{{ 'baac' | regex_replace('a*', 'x') }} {{ 'abc' | regex_replace('', '-') }}", "xbxxcx -a-b-c-"},
        {"{{ 'a' | regex_search('(') }}", "<error>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(methods_of_text)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ 'a,b,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.split(None, 1) }} {{ ''.split(',') }} {{ ''.split() }}", "['a', 'b', 'c'] ['a', 'b'] ['a', 'b,c'] ['a', 'b c'] [''] []"},
        {"{{ 'a,b,c'.rsplit(',', 1) }} {{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'a\\nb'.splitlines() }}", "['a,b', 'c'] ('a', '-', 'b-c') ('a-b', '-', 'c') ['a', 'b']"},
        {"{{ 'a'.split('') }}", "<error>"},
        {"{{ 'a'.split(1) }}", "<type error>"},
        {"{{ '-'.join(['a', 'b']) }} {{ ','.join('abc') }} {{ ''.join([]) }}|", "a-b a,b,c |"},
        {"{{ ','.join([1]) }}", "<type error>"},
        {"{{ ','.join(config.nope) }}|", "|"},
        {"{{ 'aXbX'.replace('X', '-') }} {{ 'abc'.replace('', '.') }} {{ 'aa'.replace('a', 'b', 1) }}", "a-b- .a.b.c. ba"},
        {"{{ ' x '.strip() }}|{{ 'xxaxx'.lstrip('x') }} {{ '/a/'.rstrip('/') }}", "x|axx /a"},
        {"{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.find('c') }} {{ 'abc'.find('x') }} {{ 'abab'.rfind('b') }} {{ 'abab'.count('ab') }} {{ '\303\274b'.index('b') }}", "True True 2 -1 3 2 1"},
        {"{{ 'abc'.index('x') }}", "<error>"},
        {"{{ 'aB'.upper() }}{{ 'aB'.lower() }}{{ \"they're here\".title() }}{{ 'aB'.capitalize() }}{{ 'aB'.swapcase() }}", "ABabThey'Re HereAbAb"},
        {"{{ '5'.zfill(3) }} {{ '-5'.zfill(4) }} {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3) }} {{ 'ab'.center(5, '*') }}", "005 -005 a..   a **ab*"},
        {"{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ''.isalpha() }} {{ ' '.isspace() }} {{ 'A1'.isupper() }}", "True True False True True"},
        {"{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }}", "bc ab"},
        {"{{ 'a'.upper(1) }}", "<type error>"},
        {"{{ 'a'.nope() }}", "<undefined>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(methods_of_dicts_and_lists)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ config.nested.items() | list }} {{ config.nested.keys() | list }} {{ config.nested.values() | list }}", "[('key', 'v')] ['key'] ['v']"},
        {"{{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }} {{ (1, 2).index(2) }}", "2 1 1"},
        {"{{ [1].index(5) }}", "<error>"},
        {"{{ config.get([1]) }}", "<type error>"},
        {"{{ config.get() }}", "<type error>"},
        {"{{ dict(a=1) }}", "{'a': 1}"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(formats)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ '{} {}'.format(1, 'a') }} {{ '{1}{0}'.format('x', 'y') }} {{ '{a}'.format(a=1) }} {{ '{{}}'.format() }} {{ '{0[a]}'.format({'a': 1}) }}", "1 a yx 1 {} 1"},
        {"{{ 'https://{}/v1'.format(config['region']) }}", "https://EU/v1"},
        {"{{ '{:05d} {:.2f} {:,} {:x} {:#x} {:b} {:+d} {:e} {:%}'.format(42, 3.14159, 1234567, 255, 255, 5, 3, 12345.678, 0.25) }}", "00042 3.14 1,234,567 ff 0xff 101 +3 1.234568e+04 25.000000%"},
        {"{{ '{:>4}|{:<4}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd') }} {{ '{!r}'.format('a') }}", "   a|b   |  c  |**d** 'a'"},
        {"{{ '{}'.format() }}", "<error>"},
        {"{{ '{'.format() }}", "<error>"},
        {"{{ '%s-%d' % ('a', 5) }} {{ '%05.1f' % 3.14159 }} {{ '%x' % 255 }} {{ '%s' % [1] }} {{ '%-3s|%3s' % ('a', 'b') }} {{ '%%' % () }} {{ '%(a)s' % {'a': 1} }} {{ '%d' % 3.9 }}", "a-5 003.1 ff [1] a  |  b % 1 3"},
        {"{{ '%s %s' % ('a',) }}", "<type error>"},
        {"{{ '%d' % 'a' }}", "<type error>"},
        {"{{ '%s' % ('a', 'b') }}", "<type error>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(dates_of_now)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ now_utc() }}", "2024-03-01 12:34:56.789123+00:00"},
        {"{{ today_utc() }}", "2024-03-01"},
        {"{{ now_utc().strftime('%Y-%m-%dT%H:%M:%S.%fZ') }} {{ now_utc().strftime('%s %z %Z') }} {{ today_utc().strftime('%d%b%y %j %a %-d %e %%') }}", "2024-03-01T12:34:56.789123Z 1709296496 +0000 UTC 01Mar24 061 Fri 1  1 %"},
        {"{{ (now_utc() - duration('P1D')).strftime('%Y-%m-%d') }} {{ now_utc() - duration('P1M') }} {{ now_utc() + duration('P1Y2M10DT2H30M') }}", "2024-02-29 2024-02-01 12:34:56.789123+00:00 2025-05-11 15:04:56.789123+00:00"},
        {"{{ today_utc() - duration('P1D') }} {{ today_utc() - duration('PT1H') }} {{ today_utc() + duration('P1M') }}", "2024-02-29 2024-03-01 2024-04-01"},
        {"{{ day_delta(-1) }} {{ day_delta(1, format='%Y-%m-%d') }} {{ day_delta(0, '%Y') }}", "2024-02-29T12:34:56.789123+0000 2024-03-02 2024"},
        {"{{ day_delta('1') }}", "<type error>"},
        {"{{ day_delta() }}", "<type error>"},
        {"{{ now_utc().isoformat() }} {{ now_utc().timestamp() }} {{ now_utc().date() }} {{ now_utc().weekday() }} {{ now_utc().year }} {{ now_utc().hour }}", "2024-03-01T12:34:56.789123+00:00 1709296496.789123 2024-03-01 4 2024 12"},
        {"{{ now_utc().replace(day=1, hour=0, minute=0, second=0, microsecond=0) }}", "2024-03-01 00:00:00+00:00"},
        {"{{ now_utc().replace(month=13) }}", "<error>"},
        {"{{ now_utc() > today_utc() }}", "<type error>"},
        {"{{ duration('P1D') }} {{ duration('PT36H') }} {{ duration('-P1D') }} {{ duration('PT0.5S') }}", "1 day, 0:00:00 1 day, 12:00:00 -1 day, 0:00:00 0:00:00.500000"},
        {"{{ duration('nope') }}", "<error>"},
        {"{{ (now_utc() - str_to_datetime('2024-02-28')).days }} {{ (now_utc() - str_to_datetime('2024-03-01T12:34:56Z')).total_seconds() }}", "2 0.789123"},
        {"{{ today_with_timezone('Pacific/Kiritimati') }} {{ today_with_timezone('America/New_York') }}", "2024-03-02 2024-03-01"},
        {"{{ today_with_timezone('No/Where') }}", "<error>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(dates_are_read_and_written)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ format_datetime(config.start_date, '%Y/%m/%d') }} {{ format_datetime(record.when, '%s') }} {{ format_datetime('2024-01-02T03:04:05.678Z', '%ms') }} {{ format_datetime('2024-01-02T03:04:05.678Z', '%H:%M:%S.%_ms') }}", "2024/01/15 1704164645 1704164645678 03:04:05.678"},
        {"{{ format_datetime('2024-01-02', '%s_as_float') }} {{ format_datetime('2024-01-02', '%epoch_microseconds') }}", "1704153600.0 1704153600000000"},
        {"{{ format_datetime(1704164645, '%Y-%m-%d') }} {{ format_datetime(1704164645000, '%H', '%ms') }} {{ format_datetime('02/01/2024', '%Y-%m-%d', '%d/%m/%Y') }}", "2024-01-02 03 2024-01-02"},
        {"{{ format_datetime('Mon, 01 Jan 2024 10:00:00 +0200', '%Y-%m-%dT%H:%M:%S%z', '%a, %d %b %Y %H:%M:%S %z') }}", "2024-01-01T10:00:00+0200"},
        {"{{ format_datetime('xx', '%Y') }}", "<error>"},
        {"{{ format_datetime(today_utc(), '%Y') }}", "<type error>"},
        {"{{ format_datetime(config.nope, '%Y') }}", "<undefined>"},
        {"{{ str_to_datetime('2022-01-14') }} {{ str_to_datetime('2022-01-01T13:45:30+02:00') }} {{ str_to_datetime('2022-05') }} {{ str_to_datetime('20220514') }}", "2022-01-14 00:00:00+00:00 2022-01-01 11:45:30+00:00 2022-05-01 00:00:00+00:00 2022-05-14 00:00:00+00:00"},
        {"{{ str_to_datetime('2022-W05-3') }} {{ str_to_datetime('2022-123') }} {{ str_to_datetime('2022-01-01T24:00') }} {{ str_to_datetime('2022-01-01 10:11:12,5') }} {{ str_to_datetime('2022-01-01T1011Z') }}", "2022-02-02 00:00:00+00:00 2022-05-03 00:00:00+00:00 2022-01-02 00:00:00+00:00 2022-01-01 10:11:12.500000+00:00 2022-01-01 10:11:00+00:00"},
        {"{{ str_to_datetime('2022-13-01') }}", "<error>"},
        {"{{ str_to_datetime('202205') }}", "<error>"},
        {"{{ str_to_datetime('2022-01-01T10:') }}", "<error>"},
        {"{{ timestamp('2022-02-28') }} {{ timestamp(1.9) }} {{ timestamp('2022-02-28T00:00:00.5+01:00') }}", "1646006400.0 1 1646002800.5"},
        {"{{ str_to_datetime(config.start_date) < now_utc() }}", "True"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(other_macros)
{
    // clang-format off
    static const Row rows[] = {
        {"{{ max(2, 3) }} {{ min([3, 1, 2]) }} {{ max('a', 'b') }}", "3 1 b"},
        {"{{ max() }}", "<type error>"},
        {"{{ max([]) }}", "<error>"},
        {"{{ max(1) }}", "<type error>"},
        {"{{ max(1, 'a') }}", "<type error>"},
        {"{{ sanitize_url('https://a b/\303\274?x=1') }}", "https%3A%2F%2Fa+b%2F%C3%BC%3Fx%3D1"},
        {"{{ sanitize_url(5) }}", "<type error>"},
        {"{{ camel_case_to_snake_case('CamelCaseWord') }}", "camel_case_word"},
        {"{{ generate_uuid() | length }}", "36"},
        {"{{ range(3) }}", "<error>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

TEST(statements_run)
{
    // clang-format off
    static const Row rows[] = {
        {"{% if config.flag %}a{% else %}b{% endif %}{% if config.empty %}c{% elif 1 %}d{% endif %}", "ad"},
        {"{% if 'region' in config %}/{{ config.region }}{% endif %}.json", "/EU.json"},
        {"{% for t in config.tags %}{{ loop.index }}{{ t }}{% if not loop.last %},{% endif %}{% endfor %}", "1a,2b"},
        {"{% for k, v in config.nested.items() %}{{ k }}={{ v }}{% endfor %}", "key=v"},
        {"{% for i in [1, 2, 3] if i != 2 %}{{ i }}/{{ loop.length }} {% endfor %}", "1/2 3/2 "},
        {"{% for i in [] %}x{% else %}none{% endfor %}", "none"},
        {"{% for c in '\303\274b' %}{{ c }}-{{ loop.revindex }}{% endfor %}", "\303\274-2b-1"},
        {"{% for i in 5 %}{% endfor %}", "<type error>"},
        {"{% for a, b in [[1, 2, 3]] %}{% endfor %}", "<error>"},
        {"{% set a = 1 %}{% for i in [1, 2] %}{% set a = a + i %}{{ a }}{% endfor %}{{ a }}", "231"},
        {"{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12"},
        {"{% set a %}x{{ 1 }}{% endset %}[{{ a }}]", "[x1]"},
        {"{% if config.flag %}{% set q = 1 %}{% endif %}{{ q }}", "<error>"},
        {"{% for i in [1] %}{% set z = 1 %}{% endfor %}{{ z }}", "<error>"},
        {"{% if false %}{{ nobody }}{% endif %}", "<error>"},
    };
    // clang-format on
    check_rows(rows, COUNT(rows));
}

// --- what the reference makes of the text

typedef struct ValueRow {
    const char *source;
    const char *string; // repr() of the result; "<error>"
    const char *member;
    bool boolean;
} ValueRow;

static void check_repr(Value value, const char *expected)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(value_write_repr(value, &out, &err), &err);
    CHECK_STR(buf_str(&out), str_from(expected));
}

TEST(results_are_read_as_literals_and_defaults_apply)
{
    // clang-format off
    static const ValueRow rows[] = {
        {"abc",                       "'abc'",            "'abc'",            true},
        {"123",                       "123",              "123",              true},
        {"007",                       "'007'",            "'007'",            true},
        {"1,2",                       "(1, 2)",           "(1, 2)",           true},
        {"True",                      "True",             "True",             true},
        {"False",                     "False",            "False",            false},
        {"false",                     "'false'",          "'false'",          false},
        {"no",                        "'no'",             "'no'",             true},
        {"0.0",                       "0.0",              "0.0",              false},
        {"None",                      "None",             "None",             false},
        {"",                          "''",               "None",             false},
        {"abc\n",                     "'abc'",            "'abc'",            true},
        {"{{ record.id }}",           "7",                "7",                true},
        {"{{ record.obj }}",          "{'a': 1, 'b': [True, None, \"it's\"]}", "{'a': 1, 'b': [True, None, \"it's\"]}", true},
        {"{{ config.limit }}",        "50",               "50",               true},
        {"{{ record.amount }}0",      "12.5",             "12.5",             true},
        {"{{ config.nope }}",         "''",               "None",             false},
        {"{{ config.nope.x }}",       "<error>",          "None",             false},
        {"{{ 'a' + 1 }}",             "\"{{ 'a' + 1 }}\"", "\"{{ 'a' + 1 }}\"", true},
        {"{{ [] }}",                  "[]",               "[]",               false},
        {"{{ config.nested | string }}", "'{\"key\": \"v\"}'", "'{\"key\": \"v\"}'", true},
        {"{{ 1 / 0 }}",               "<error>",          "<error>",          false},
    };
    // clang-format on
    Error err = {0};
    CLEANUP(fixture_done) Fixture fixture;
    CHECK_OK(fixture_open(&fixture, &err), &err);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].source);
        const Template *template = NULL;
        const Scope *scope = &fixture.scope;
        Value value = value_undefined();
        bool boolean = true;
        CHECK_OK(
            template_compile(str_from(rows[i].source), STR("p"), fixture.arena, &template, &err),
            &err);
        const bool string_ok = template_eval_string(template, scope, fixture.arena, &value, &err);
        CHECK(string_ok == (strcmp(rows[i].string, "<error>") != 0));
        if (string_ok)
            check_repr(value, rows[i].string);
        err = (Error){0};
        const bool member_ok = template_eval_member(template, scope, fixture.arena, &value, &err);
        CHECK(member_ok == (strcmp(rows[i].member, "<error>") != 0));
        if (member_ok)
            check_repr(value, rows[i].member);
        err = (Error){0};
        if (member_ok) {
            CHECK_OK(template_eval_bool(template, scope, fixture.arena, &boolean, &err), &err);
            CHECK(boolean == rows[i].boolean);
        }
        err = (Error){0};
    }
}

TEST(only_text_that_stays_itself_is_plain)
{
    static const struct {
        const char *source;
        bool plain;
    } rows[] = {{"abc", true},   {"123", false},     {"abc\n", false}, {"", false},
                {"a\rb", false}, {"{{ 1 }}", false}, {"{# #}", false}, {"stream_state", false},
                {"{a}", true},   {"'q'", false}};
    Error err = {0};
    CLEANUP(fixture_done) Fixture fixture;
    CHECK_OK(fixture_open(&fixture, &err), &err);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].source);
        const Template *template = NULL;
        CHECK_OK(
            template_compile(str_from(rows[i].source), STR("p"), fixture.arena, &template, &err),
            &err);
        CHECK(template_is_plain(template) == rows[i].plain);
    }
}

TEST(broken_templates_say_where)
{
    static const struct {
        const char *source, *message;
    } rows[] = {
        {"{{ x", "m.yaml:7: template: column 1: a tag without end"},
        {"{{ }}", "m.yaml:7: template: column 4: expected an expression, not ''"},
        {"a {{ 1 2 }}", "m.yaml:7: template: column 8: expected '}}', not '2'"},
        {"{{ 'abc }}", "m.yaml:7: template: column 4: a string without end"},
        {"{{ (1] }}", "m.yaml:7: template: column 6: unexpected ']'"},
        {"{{ 1 | nope }}", "m.yaml:7: template: column 8: no filter is named 'nope'"},
        {"{{ 1 is nope }}", "m.yaml:7: template: column 9: no test is named 'nope'"},
        {"{% if 1 %}", "m.yaml:7: template: a block without its end (elif else endif)"},
        {"{% frob %}",
         "m.yaml:7: template: column 4: expected if, for or set (other statements are "
         "not supported), not 'frob'"},
        {"{% endif %}",
         "m.yaml:7: template: column 4: expected if, for or set (other statements are "
         "not supported), not 'endif'"},
        {"{# a", "m.yaml:7: template: column 1: a comment without end"},
        {"{% raw %}", "m.yaml:7: template: column 1: a raw block without end"},
        {"{{ a ? b }}", "m.yaml:7: template: column 6: an unexpected character"},
        {"{{ f(*a) }}",
         "m.yaml:7: template: column 6: unpacked arguments are not supported, not '*'"},
        {"{{ '\\ud800' }}", "m.yaml:7: template: column 4: a string with a broken escape"},
        {"{{ 1 is none is none }}",
         "m.yaml:7: template: column 14: tests cannot be chained, not 'is'"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].source);
        Error err = {0};
        const Template *template = NULL;
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CHECK(!template_compile(str_from(rows[i].source), STR("m.yaml:7"), arena, &template, &err));
        CHECK_STR(str_from(err.message), str_from(rows[i].message));
        CHECK_INT(err.code, ERROR_JOB);
        CHECK(template == NULL);
    }
}

TEST(errors_of_evaluation_say_where)
{
    static const struct {
        const char *source, *message;
        ErrorCode code;
    } rows[] = {
        {"{{ nobody }}", "p: template: no variable is named 'nobody' here", ERROR_JOB},
        {"{{ stream_state }}", "p: template: stream_state cannot be used: use stream_interval",
         ERROR_JOB},
        {"{{ 1 / 0 }}", "p: template: division by zero", ERROR_DATA},
        {"{{ [1].append(2) }}", "p: template: a method of list that is not supported", ERROR_JOB},
        {"{{ 9223372036854775807 + 1 }}", "p: template: an integer beyond 64 bits", ERROR_LIMIT},
        {"{{ 'a' * 100000000 }}", "p: template: a text of more than 16777216 bytes", ERROR_LIMIT},
        {"{{ [0] * 100000000 }}", "p: template: a list of more than 1000000 items", ERROR_LIMIT},
        {"{{ 2 ** 100 }}", "p: template: an integer beyond 64 bits", ERROR_LIMIT},
        {"{% set l = [0] * 9999 %}{% for a in l %}{% for b in l %}{% endfor %}{% endfor %}",
         "p: template: takes more than 1000000 steps", ERROR_LIMIT},
        {"{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' | regex_search('(a*)*b') }}",
         "p: template: regular expression: takes more than 2000000 steps", ERROR_LIMIT},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].source);
        Error err = {0};
        const Template *template = NULL;
        Str text = {0};
        TemplateOutcome outcome = TEMPLATE_OK;
        CLEANUP(fixture_done) Fixture fixture;
        CHECK_OK(fixture_open(&fixture, &err), &err);
        CHECK_OK(
            template_compile(str_from(rows[i].source), STR("p"), fixture.arena, &template, &err),
            &err);
        CHECK(!template_render(template, &fixture.scope, fixture.arena, &text, &outcome, &err));
        CHECK_STR(str_from(err.message), str_from(rows[i].message));
        CHECK_INT(err.code, rows[i].code);
    }
}

// A source of `count` times `part` between `before` and `after`.
static Str repeat(Arena *arena, const char *before, const char *part, int count, const char *after)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    Str text = {0};
    CHECK(buf_append(&out, str_from(before), &err));
    for (int i = 0; i < count; i++)
        CHECK(buf_append(&out, str_from(part), &err));
    CHECK(buf_append(&out, str_from(after), &err) &&
          arena_copy_str(arena, buf_str(&out), &text, &err));
    return text;
}

TEST(limits_hold)
{
    Error err = {0};
    CLEANUP(fixture_done) Fixture fixture;
    CHECK_OK(fixture_open(&fixture, &err), &err);
    const struct {
        const char *name;
        Str source;
        bool ok;
    } rows[] = {
        {"long sums are not deep sources", repeat(fixture.arena, "{{ 1", " + 1", 300, " }}"), true},
        {"but too long ones are", repeat(fixture.arena, "{{ 1", " + 1", 500, " }}"), false},
        {"brackets", repeat(fixture.arena, "{{ ", "[", 500, " }}"), false},
        {"parentheses", repeat(fixture.arena, "{{ ", "(", 150, " }}"), false},
        {"signs", repeat(fixture.arena, "{{ ", "-", 500, "1 }}"), false},
        {"not", repeat(fixture.arena, "{{ ", "not ", 500, "1 }}"), false},
        {"ifs", repeat(fixture.arena, "", "{% if 1 %}", 150, ""), false},
        {"elifs", repeat(fixture.arena, "{% if 0 %}", "{% elif 0 %}", 150, "{% endif %}"), false},
        {"conditions", repeat(fixture.arena, "{{ ", "1 if 0 else ", 150, "1 }}"), false},
        {"variables", repeat(fixture.arena, "", "{% set a = 1 %}", 65, ""), false},
        {"variables that fit", repeat(fixture.arena, "", "{% set a = 1 %}", 64, ""), true},
        {"source", repeat(fixture.arena, "", "0123456789abcdef", 65537, ""), false},
        {"source that fits", repeat(fixture.arena, "", "0123456789abcdef", 65536, ""), true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        const Str text = render(&fixture, rows[i].source);
        CHECK(str_equal(text, STR("<error>")) != rows[i].ok);
    }
}

TEST(objects_show_attributes_before_members)
{
    Error err = {0};
    CLEANUP(fixture_done) Fixture fixture;
    CHECK_OK(fixture_open(&fixture, &err), &err);
    const ValuePair members[] = {{value_str(STR("id")), value_int(1)},
                                 {value_str(STR("partition")), value_int(2)}};
    const ValuePair attributes[] = {{value_str(STR("partition")), value_str(STR("p"))},
                                    {value_str(STR("extra_fields")), value_dict(members, 1)}};
    const ValueObject object = {value_dict(members, 2), attributes, 2};
    fixture.entries[0] = (ScopeEntry){STR("stream_slice"), value_object(&object)};
    CHECK_STR(render(&fixture, STR("{{ stream_slice.partition }}{{ stream_slice['partition'] }}"
                                   "{{ stream_slice.extra_fields.id }}{{ stream_slice.id }}")),
              STR("p211"));
    CHECK_STR(render(&fixture, STR("{{ stream_slice }} {{ stream_slice | length }} "
                                   "{{ 'id' in stream_slice }} {{ stream_slice.get('id') }}")),
              STR("{'id': 1, 'partition': 2} 2 True 1"));
}

TEST(compile_and_render_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        const Template *template = NULL;
        Value value = value_undefined();
        CLEANUP(fixture_done) Fixture fixture;
        const Str source =
            STR("{% set a = [1, 'x' ~ record.id] %}{% for i in a %}{{ i }}{% endfor %}"
                "{{ record.nodes | selectattr('id') | map(attribute='id') | join(',') | hash }}"
                "{{ now_utc().strftime('%Y') }} {{ 'a-b'.split('-') | sort }}"
                "{{ headers.Link | regex_search('after=(.+?)>') }} {{ '%s' % 'x' }}\r\n");
        const bool ok = fixture_open(&fixture, &err) &&
                        template_compile(source, STR("p"), fixture.arena, &template, &err) &&
                        template_eval_string(template, &fixture.scope, fixture.arena, &value, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (value.kind == VALUE_STR));
    }
}
