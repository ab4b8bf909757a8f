"""`pawl check` tells of streams whose windows the API does not know of: each of them reads everything."""
import json, unittest
from served import WINDOW, Served, stream

BARE = {name: value for name, value in WINDOW.items() if not name.endswith("_option")}
TEMPLATED = {"request_parameters": {"since": "{{ stream_interval['start_time'] }}"}}


class Windows(unittest.TestCase):
    def notes(self, served):
        done = served.pawl("check", "job.json", "--offline", "--json")
        return [item["text"] for item in json.loads(done.stdout)["checks"] if item["check"] == "windows"]

    def test_a_stream_that_tells_no_window_is_told_of(self):
        rows = {"client_side": stream("client_side", cursor={**BARE, "is_client_side_incremental": True}),
                "feed": stream("feed", cursor={**BARE, "is_data_feed": True}), "bare": stream("bare", cursor=BARE),
                "by_option": stream("by_option", cursor={**WINDOW, "is_client_side_incremental": True}),
                "by_template": stream("by_template", requester=TEMPLATED, cursor=BARE), "whole": stream("whole", cursor=None)}
        asked = []

        def answer(request, query):
            asked.append(request.path)
            return 200, {}, [{"id": 1, "day": "2026-03-02"}]

        with Served(answer, *rows.values()) as served:
            told = self.notes(served)
            self.assertEqual([text.split("'")[1] for text in told], ["client_side", "feed", "bare"])
            self.assertIn("each window reads the whole collection", told[0])
            # And so it is.
            for name, times in (("bare", 3), ("whole", 1)):
                asked.clear()
                served.run("historic", "--from", "2026-03-01", "--to", "2026-03-03", "--stream", name)
                self.assertEqual(len(asked), times)
                self.assertEqual(served.rows(f"SELECT count(*) FROM served.{name}"), [["1"]])


if __name__ == "__main__":
    unittest.main()
