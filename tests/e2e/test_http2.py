"""HTTP/2 and TLS: nghttpx, a proxy by others, stands before the simulator, as a load balancer does before an API."""
import os, shutil, socket, subprocess, time, unittest
from azure import make_certificate
from world import World

NGHTTPX = shutil.which("nghttpx", path=os.environ.get("PATH", "") + ":/usr/sbin")
RANGE = ("--from", "2026-03-04", "--to", "2026-03-06")


class Proxy:
    def __init__(self, world, name):
        folder = world.folder / name
        folder.mkdir()
        key, self.certificate = make_certificate(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "access.log"
        self.process = subprocess.Popen(
            [NGHTTPX, "--conf=/dev/null", f"--frontend=127.0.0.1,{self.port}", f"--backend=127.0.0.1,{world.port}",
             "--workers=1", "--no-ocsp", "--no-location-rewrite", f"--accesslog-file={self.log}",
             "--accesslog-format=$alpn $status $request", f"--errorlog-file={folder / 'error.log'}", key,
             self.certificate], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("nghttpx did not start: " + (folder / "error.log").read_text())
                time.sleep(0.005)

    def lines(self):
        return self.log.read_text().splitlines()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


@unittest.skipUnless(NGHTTPX, "nghttpx (package nghttp2-proxy) is not installed")
class Http2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(calls=300)
        cls.calm = cls.world.copy("calm")
        cls.calm.run("historic", *RANGE)

    @classmethod
    def tearDownClass(cls):
        cls.world.close()

    def setUp(self):
        self.world.forget_pawl()
        self.world.control("stats", method="DELETE")
        self.proxy = self.enterContext(Proxy(self.world, self._testMethodName))
        self.world.write_job(["accounts", "calls"], {
            "ca_file": str(self.proxy.certificate),
            "config": {"base_url": f"https://127.0.0.1:{self.proxy.port}/api/v1", "per_page": 5}})

    def tearDown(self):
        self.world.control("faults", [], method="PUT")

    def test_many_slices_share_connections_and_give_the_same_table(self):
        self.world.run("historic", *RANGE)
        self.assertEqual(self.world.digest(), self.calm.digest())
        self.assertGreater(sum("/calls?" in line for line in self.proxy.lines()), 15)
        self.assertEqual([line for line in self.proxy.lines() if not line.startswith("h2 200 ")], [])

    def test_who_cannot_prove_himself_is_told_nothing(self):
        self.world.write_job(["accounts", "calls"], {
            "config": {"base_url": f"https://127.0.0.1:{self.proxy.port}/api/v1"}})
        done = self.world.run("historic", *RANGE, check=False)
        self.assertIn(done.returncode, (4, 8), done.stderr[-500:])
        self.assertIn("certificate", done.stderr.splitlines()[-1])
        self.assertEqual([entry for entry in self.world.log() if "/_sim" not in entry["request"]], [])

    def test_streams_that_break_are_asked_for_again(self):
        """What breaks behind the proxy arrives as 502, or as a stream that is reset while its connection goes on."""
        for fault in ({"do": "reset"}, {"do": "reset_body"}, {"do": "truncate"}, {"do": 503}):
            with self.subTest(fault):
                self.world.forget_pawl()
                self.world.control("faults", [{"match": {"path": "/accounts/1001/calls"}, "times": 2, **fault}], method="PUT")
                self.world.run("historic", *RANGE)
                self.assertEqual(self.world.digest(), self.calm.digest())


if __name__ == "__main__":
    unittest.main()
