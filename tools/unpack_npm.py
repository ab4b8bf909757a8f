"""Unpacks FOLDER/packed/*.tgz to FOLDER/node_modules as the rows on standard input say (place, version, checksum); a
checksum that differs ends it."""
import base64, hashlib, pathlib, sys, tarfile

folder = pathlib.Path(sys.argv[1])
for row in sys.stdin.read().splitlines():
    place, version, checksum = row.split()
    name = place.split("node_modules/")[-1]
    packed = folder / "packed" / f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"
    kind, wanted = checksum.split("-", 1)
    got = base64.b64encode(hashlib.new(kind, packed.read_bytes()).digest()).decode()
    if kind != "sha512" or got != wanted:
        raise SystemExit(f"deps: {name} {version}: checksum is not {checksum} but {kind}-{got}")
    target = folder / "node_modules" / place
    with tarfile.open(packed) as archive:
        for member in archive.getmembers():
            parts = pathlib.PurePosixPath(member.name).parts[1:]  # below "package/", or whatever it is called
            if member.isfile() and parts and ".." not in parts:
                path = target.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
