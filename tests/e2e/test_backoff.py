"""How long a run waits before it asks once more is the manifest's say, too: what Airbyte waits for must not fail here."""
import threading, time, unittest
from served import Served, stream

DAYS = ("--from", "2026-03-01", "--to", "2026-03-06")
RESET = {"type": "WaitUntilTimeFromHeader", "header": "X-RateLimit-Reset"}
WAIT = {"type": "WaitTimeFromHeader", "header": "X-Wait"}
CONSTANT = {"type": "ConstantBackoffStrategy", "backoff_time_in_seconds": 2.5}


class Limit:
    """Refuses from the first request on, for so many seconds; what `headers` makes of their end goes along.

    Who asks at the same moment as the first is still answered, late: others ask while the first waits.
    """

    def __init__(self, seconds, headers, status=429, first="/items"):
        self.seconds, self.headers, self.status, self.first = seconds, headers, status, first
        self.lock, self.since, self.refused = threading.Lock(), None, []

    def refuses(self, request):
        now = time.time()
        with self.lock:
            if self.since is None and request.path.startswith(self.first):
                self.since = now
            elif self.since is None or now > self.since + self.seconds:
                return False
            if 0 < now - self.since < 0.3:
                time.sleep(0.2)
                return False
            self.refused.append(round(now - self.since, 1))
            return True

    def __call__(self, request, query):
        if self.refuses(request):
            return self.status, self.headers(self.since + self.seconds), {}
        if request.path.startswith("/parents"):
            return 200, {}, [{"id": 1}]
        return 200, {}, [{"id": int(query["from"][-2:]), "day": query["from"]}]


def patient(*strategies, filters=(), **more):
    return stream(requester={"error_handler": {"type": "DefaultErrorHandler", "backoff_strategies": list(strategies),
                                               "response_filters": list(filters)}}, **more)


class Backoff(unittest.TestCase):
    def check(self, limit, served):
        served.run("historic", *DAYS)
        self.assertEqual(served.rows("SELECT count(*), sum(id) FROM served.items"), [["6", "21"]])
        self.assertEqual(limit.refused[0], 0)

    def test_a_limit_says_in_a_header_of_its_own_how_long_it_holds(self):
        # An epoch second, of course: the limit ends within it.
        rows = {"until": (RESET, lambda until: {"X-RateLimit-Reset": str(int(until))}),
                "for": (WAIT, lambda until: {"X-Wait": str(int(until - time.time()))})}
        for name, (strategy, headers) in rows.items():
            with self.subTest(name):
                limit = Limit(3.4, headers)
                with Served(limit, patient(strategy)) as served:
                    self.check(limit, served)
                # The first answer speaks for all: nobody asks while the limit holds.
                self.assertEqual([at for at in limit.refused if at > 0.8], [])

    def test_a_limit_with_another_status_holds_all_as_well(self):
        limit = Limit(3.4, lambda until: {"X-Wait": str(int(until - time.time()))}, status=403)
        limited = {"type": "HttpResponseFilter", "http_codes": [403], "action": "RATE_LIMITED"}
        with Served(limit, patient(WAIT, filters=[limited])) as served:
            self.check(limit, served)
        self.assertEqual([at for at in limit.refused if at > 0.8], [])

    def test_what_the_manifest_thinks_fit_is_waited(self):
        for status in (429, 503):
            with self.subTest(status):
                limit = Limit(2.2, lambda until: {}, status)
                with Served(limit, patient(CONSTANT)) as served:
                    self.check(limit, served)
                    longest = int(served.rows("SELECT max(wait_us) FROM etl_log WHERE stage = 'read'")[0][0])
                    self.assertTrue(2.5e6 <= longest < 4.5e6, longest)  # once, and perhaps for the budget

    def test_partitions_are_found_as_patiently_but_not_for_ever(self):
        parents = stream("parents", cursor=None, requester={"path": "/parents", "error_handler": {
            "type": "DefaultErrorHandler", "backoff_strategies": [RESET]}})
        router = {"type": "SubstreamPartitionRouter", "parent_stream_configs": [{
            "type": "ParentStreamConfig", "stream": parents, "parent_key": "id", "partition_field": "parent"}]}
        for seconds, code in ((1.5, 0), (7200, 7)):
            with self.subTest(seconds):
                limit = Limit(seconds, lambda until: {"X-RateLimit-Reset": str(int(until))}, first="/parents")
                with Served(limit, stream(partition_router=router)) as served:
                    done = served.run("historic", *DAYS, code=code, timeout=20)
                    self.assertEqual("the far side asks to wait" in done.stderr, code != 0)

    def test_a_wait_beyond_all_patience_is_not_waited(self):
        # A limit is everybody's; other trouble may be this partition's alone.
        for status, code in ((429, 7), (503, 8)):
            with self.subTest(status):
                limit = Limit(7200, lambda until: {"X-RateLimit-Reset": str(int(until))}, status)
                with Served(limit, patient(RESET)) as served:
                    self.assertIn("asks to wait 1", served.run("historic", *DAYS, code=code, timeout=20).stderr.splitlines()[-1])

    def test_a_wait_that_the_manifest_forbids_is_not_waited(self):
        limit = Limit(90, lambda until: {"X-Wait": "90"})
        with Served(limit, patient({**WAIT, "max_waiting_time_in_seconds": 60})) as served:
            said = served.run("historic", *DAYS, code=7, timeout=20).stderr.splitlines()[-1]
            self.assertIn("longer than the manifest allows: the far side asks to wait 91 seconds", said)
            read = served.pawl("source", "read", "--manifest", "manifest.yaml", "--config", "config.json", code=8, timeout=20)
            self.assertIn("HTTP 429, and asks for a longer wait than the manifest allows", read.stdout)
            self.assertIn("transient_error", read.stdout)


if __name__ == "__main__":
    unittest.main()
