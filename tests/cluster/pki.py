"""A certificate authority for one run, and kubeconfigs with everything embedded."""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=30)
SKEW = timedelta(hours=1)  # a clock that is put back a little does not end a run


class Authority:
    """Issues certificates below `directory`; its own key is ca.key, its certificate ca.crt."""

    def __init__(self, directory: Path, *, same_as: Path | None = None) -> None:
        """`same_as`: the directory of an authority to be, instead of a new one."""
        self.directory = directory
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes-ca")])
        self._key = _key_of(same_as) if same_as else ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate_of(same_as) if same_as else self._self_signed()
        self._write("ca", self._key, certificate)

    @property
    def certificate_file(self) -> Path:
        return self.directory / "ca.crt"

    def client(self, name: str, user: str, groups: Sequence[str] = ()) -> tuple[Path, Path]:
        """Certificate and key files of a client: Kubernetes reads user and groups from them."""
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        return self._issue(name, x509.Name(subject), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, name: str, user: str, hosts: Sequence[str]) -> tuple[Path, Path]:
        """Certificate and key files of a server that is reached as any of `hosts`."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
        return self._issue(name, subject, ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def signing_key(self, name: str) -> tuple[Path, Path]:
        """Public and private key files, for service account tokens."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = self.directory / f"{name}.pub"
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return public, self._write_key(name, key)

    def kubeconfig(self, path: Path, *, server: str, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig that works from any directory."""
        certificate, key = self.client(path.stem, user, groups)
        text = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "callfleet",
            "clusters": [
                {
                    "name": "callfleet",
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": _embedded(self.certificate_file),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _embedded(certificate),
                        "client-key-data": _embedded(key),
                    },
                }
            ],
            "contexts": [
                {
                    "name": "callfleet",
                    "context": {"cluster": "callfleet", "user": user, "namespace": "default"},
                }
            ],
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(text, indent=1))  # JSON is YAML
        return path

    def _self_signed(self) -> x509.Certificate:
        return (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _issue(
        self, name: str, subject: x509.Name, usage: x509.ObjectIdentifier, hosts: Sequence[str]
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(subject, key.public_key())
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return self._write(name, key, builder.sign(self._key, hashes.SHA256()))

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        # Python 3.13 verifies strictly and insists on the two key identifiers.
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + VALID)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer, critical=False)
        )

    def _write(
        self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> tuple[Path, Path]:
        path = self.directory / f"{name}.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path, self._write_key(name, key)

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> Path:
        path = self.directory / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path


def _key_of(directory: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _certificate_of(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
