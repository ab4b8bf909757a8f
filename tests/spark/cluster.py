"""A Spark cluster of processes: a master and workers, for tests and timings. Standard library only.

Each worker has a loopback address of its own: Spark runs no second copy of a task on the machine that has the first.
"""
import os, pathlib, socket, subprocess, time

# A machine that others keep busy, or that stands still for a while, has lost no worker.
PATIENCE_S = 600


class Cluster:
    def __init__(self, python, folder, workers, memory="1g"):
        self.home = next(pathlib.Path(python).parents[1].glob("lib/python3*/site-packages/pyspark"))
        self.folder, self.processes = pathlib.Path(folder), []
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.url = f"spark://127.0.0.1:{port}"
        master = self.start("master.Master", "127.0.0.1", "--port", str(port))
        deadline = time.monotonic() + 120
        while not self.answers(port):
            if master.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError("the master did not start: " + (self.folder / "cluster.log").read_text()[-2000:])
            time.sleep(0.02)
        self.workers = [self.start("worker.Worker", f"127.0.0.{number}", "--cores", "1", "--memory", memory, "--work-dir",
                                   self.folder / "work", self.url) for number in range(1, workers + 1)]
        # A session waits until all of them are there: tests and timings want them all.
        self.conf = {"spark.network.timeout": f"{PATIENCE_S}s", "spark.executor.cores": "1", "spark.cores.max": str(workers),
                     "spark.scheduler.minRegisteredResourcesRatio": "1.0",
                     "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s"}

    @staticmethod
    def answers(port):
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    def start(self, name, host, *words):
        with open(self.folder / "cluster.log", "ab") as log:
            process = subprocess.Popen(
                [self.home / "bin/spark-class", f"org.apache.spark.deploy.{name}", "--host", host, "--webui-port", "0", *words],
                env=os.environ | {"SPARK_LOCAL_IP": host, "SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": f"-Dspark.worker.timeout={PATIENCE_S}"},
                stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
