"""Certificates for servers on this machine, signed by an authority that no system trusts."""

import dataclasses
import pathlib
import subprocess


@dataclasses.dataclass
class Certificates:
    """Paths of PEM files."""

    authority: pathlib.Path
    server: pathlib.Path
    key: pathlib.Path


def make_certificates(folder, names="IP:127.0.0.1"):
    folder.mkdir(parents=True, exist_ok=True)

    def certificate(name, *more):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
             *more], check=True, capture_output=True)

    certificate("authority", "-addext", "keyUsage=keyCertSign")
    certificate("server", "-CA", folder / "authority.pem", "-CAkey", folder / "authority.key",
                "-addext", f"subjectAltName={names}")
    return Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
