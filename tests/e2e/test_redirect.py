"""A stream that asks by POST follows redirects by itself: nothing that says who we are leaves the origin, nothing foreign is taken."""
import json, unittest
from served import Served, stream

DAY = ("--from", "2026-03-01", "--to", "2026-03-01")
POSTS = {"http_method": "POST", "request_headers": {"X-Api-Key": "canary"}, "request_body_json": {"key": "canary"}}


class Redirect(unittest.TestCase):
    def setUp(self):
        self.seen = []

        def stranger(request, query):
            self.seen.append(request.requestline)
            return 200, {}, []

        self.other = self.enterContext(Served(stranger, stream()))

    def test_a_post_stays_at_its_origin(self):
        for status in (301, 302, 303, 307, 308):
            with self.subTest(status):
                answer = lambda request, query: (status, {"Location": self.other.url + "/items"}, {})
                with Served(answer, stream(requester=POSTS)) as served:
                    said = served.run("historic", *DAY, code=3).stderr.splitlines()[-1]
                    self.assertIn("redirected to another origin, where no credential goes", said)
                    done = served.pawl("source", "read", "--manifest", "manifest.yaml", "--config", "config.json", code=3)
                    self.assertIn("redirected to another origin", done.stdout)
        self.assertEqual(self.seen, [])

    def test_a_post_is_followed_at_home(self):
        def answer(request, query):
            if request.path.startswith("/items"):
                return 307, {"Location": "/there"}, {}
            self.assertEqual((request.command, request.headers["X-Api-Key"], json.loads(request.received)), ("POST", "canary", {"key": "canary"}))
            return 200, {}, [{"id": 1, "day": "2026-03-01"}]

        with Served(answer, stream(requester=POSTS)) as served:
            served.run("historic", *DAY)
            self.assertEqual(served.rows("SELECT id FROM served.items"), [["1"]])


if __name__ == "__main__":
    unittest.main()
