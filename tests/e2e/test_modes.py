"""The three modes against the simulator, as a user would see them."""
import unittest
from world import World


class Modes(unittest.TestCase):
    def test_historic_then_incremental_then_rehydration(self):
        with World() as world:
            world.run("historic", "--to", "2026-03-09")
            total = sum(world.get(f"/accounts/{account}/calls?start_date=2026-03-01&end_date=2026-03-09&per_page=1")
                        ["total_entries"] for account in (1001, 1002))
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls")), total)
            self.assertEqual(world.value("SELECT count(DISTINCT _row_key) FROM ctm.calls"), str(total))

            world.run("incremental")
            total = sum(world.get(f"/accounts/{account}/calls?start_date=2026-03-01&end_date=2026-03-12&per_page=1")
                        ["total_entries"] for account in (1001, 1002))
            self.assertEqual(int(world.value("SELECT count(*) FROM ctm.calls WHERE _deleted_at IS NULL")), total)

            again = world.report(world.run("incremental"))
            self.assertEqual((again["inserted"], again["updated"]), (0, 0))


if __name__ == "__main__":
    unittest.main()
