"""The landing store is emptied, or another is named, while the warehouse keeps what it has."""
import json, re, shutil, unittest
from world import World

RANGE = ("--from", "2026-03-03", "--to", "2026-03-04")


class Emptied(unittest.TestCase):
    def test_the_message_says_which_epoch_to_write_where_and_that_helps(self):
        with World(calls=100) as world:
            for _ in range(4):
                world.run("historic", *RANGE)
            calm = world.digest()
            shutil.rmtree(world.folder / "lake")
            done = world.run("historic", *RANGE, check=False)
            self.assertEqual(done.returncode, 6)
            message = json.loads(done.stderr.splitlines()[-1])["error"]
            said = re.search(r"epoch 4, ours is 1.*write (\d+) for 'epoch' into its (\S+\.json)", message)
            self.assertTrue(said, message)
            path = world.folder / "lake" / said[2]
            path.write_text(json.dumps({**json.loads(path.read_text()), "epoch": int(said[1])}))
            world.run("historic", *RANGE)
            self.assertEqual(world.digest(), calm)


if __name__ == "__main__":
    unittest.main()
