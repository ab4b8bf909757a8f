// Completion for bash and zsh, from the table of commands.
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

// --- bash

static bool write_case(const Command *command, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, "    '%s') words='", command->name));
    for (const CommandOption *option = command->options; option->name != NULL; option++) {
        if (!option_is_for_tests(option))
            TRY(buf_printf(out, err, "--%s ", option->name));
    }
    return buf_printf(out, err, "--json --help' ;;\n");
}

static bool is_first_of_its_word(const Command *command)
{
    const size_t size = strcspn(command->name, " ");
    for (const Command *before = commands; before != command; before++) {
        if (before->summary != NULL && strcspn(before->name, " ") == size &&
            strncmp(before->name, command->name, size) == 0)
            return false;
    }
    return command->summary != NULL;
}

static bool write_bash(Buf *out, Error *err)
{
    TRY(buf_printf(out, err,
                   "# bash completion of pawl; load it with: source <(pawl completion bash)\n"
                   "_pawl() {\n"
                   "  local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
                   "  case \"$command ${COMP_WORDS[2]}\" in\n"));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (strchr(command->name, ' ') != NULL)
            TRY(buf_printf(out, err, "    '%s') command='%s' ;;\n", command->name, command->name));
    }
    TRY(buf_printf(out, err,
                   "  esac\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                   "    COMPREPLY=($(compgen -W '"));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (is_first_of_its_word(command))
            TRY(buf_printf(out, err, "%.*s ", (int)strcspn(command->name, " "), command->name));
    }
    TRY(buf_printf(out, err, "' -- \"$current\"))\n    return\n  fi\n  case \"$command\" in\n"));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (command->summary != NULL)
            TRY(write_case(command, out, err));
    }
    // The second word of commands that have two.
    TRY(buf_printf(out, err,
                   "  esac\n  if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
                   "    case \"$command\" in\n"));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (strchr(command->name, ' ') == NULL || !is_first_of_its_word(command))
            continue;
        const int size = (int)strcspn(command->name, " ");
        TRY(buf_printf(out, err, "      %.*s) words=\"$words", size, command->name));
        for (const Command *other = commands; other->name != NULL; other++) {
            if (strncmp(other->name, command->name, (size_t)size + 1) == 0)
                TRY(buf_printf(out, err, " %s", other->name + size + 1));
        }
        TRY(buf_printf(out, err, "\" ;;\n"));
    }
    return buf_printf(out, err,
                      "    esac\n  fi\n"
                      "  case \"$current\" in\n"
                      "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
                      "    *) COMPREPLY=($(compgen -W \"$words\" -- \"$current\") $(compgen -f -- "
                      "\"$current\")) ;;\n"
                      "  esac\n}\ncomplete -o filenames -F _pawl pawl\n");
}

// --- zsh

// Within '...' of an _arguments or _describe entry: quotes end it, colons and brackets mean things.
static bool write_zsh_text(const char *text, Buf *out, Error *err)
{
    for (const char *c = text; *c != '\0' && *c != '\n'; c++) {
        if (*c == '\'')
            TRY(buf_append(out, STR("'\\''"), err));
        else if (*c == ':' || *c == '[' || *c == ']' || *c == '\\')
            TRY(buf_append_char(out, '\\', err) && buf_append_char(out, *c, err));
        else
            TRY(buf_append_char(out, *c, err));
    }
    return true;
}

static bool write_zsh_option(const CommandOption *option, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, " '--%s[", option->name) && write_zsh_text(option->help, out, err) &&
        buf_append_char(out, ']', err));
    if (option->value != NULL)
        TRY(buf_append_char(out, ':', err) && write_zsh_text(option->value, out, err) &&
            buf_append(out, STR(":_files"), err));
    return buf_append_char(out, '\'', err);
}

static bool write_zsh(Buf *out, Error *err)
{
    TRY(buf_printf(out, err,
                   "#compdef pawl\n"
                   "# zsh completion of pawl; put it into a folder of $fpath as _pawl, or: source "
                   "<(pawl completion zsh)\n"
                   "_pawl() {\n"
                   "  local -a commands\n"
                   "  commands=(\n"));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (command->summary == NULL)
            continue;
        TRY(buf_printf(out, err, "    '%s:", command->name) &&
            write_zsh_text(command->summary, out, err) && buf_append(out, STR("'\n"), err));
    }
    TRY(buf_printf(out, err,
                   "  )\n"
                   "  if (( CURRENT == 2 )); then\n"
                   "    _describe command commands\n"
                   "    return\n"
                   "  fi\n"
                   "  local command=$words[2]\n"
                   "  case \"$words[2] $words[3]\" in\n"));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (strchr(command->name, ' ') != NULL)
            TRY(buf_printf(out, err, "    '%s') command='%s' ;;\n", command->name, command->name));
    }
    TRY(buf_printf(out, err, "  esac\n  case $command in\n"));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (command->summary == NULL)
            continue;
        TRY(buf_printf(out, err, "    '%s') _arguments", command->name));
        for (const CommandOption *option = command->options; option->name != NULL; option++) {
            if (!option_is_for_tests(option))
                TRY(write_zsh_option(option, out, err));
        }
        TRY(buf_printf(out, err,
                       " '--json[results as JSON]' '--help[what it does]' '*:file:_files' ;;\n"));
    }
    return buf_printf(
        out, err,
        "  esac\n}\n"
        "if [ \"$funcstack[1]\" = _pawl ]; then _pawl \"$@\"; else compdef _pawl pawl; fi\n");
}

bool cli_completion(Cli *cli, Error *err)
{
    const Str shell = cli->args.positional[0];
    CLEANUP(buf_done) Buf out = {0};
    if (str_equal(shell, STR("bash")))
        TRY(write_bash(&out, err));
    else if (str_equal(shell, STR("zsh")))
        TRY(write_zsh(&out, err));
    else
        return error_set(err, ERROR_JOB, "completion: '" STR_FMT "' is not known; bash and zsh are",
                         STR_ARG(shell));
    (void)fwrite(out.data, 1, out.size, stdout);
    return true;
}
