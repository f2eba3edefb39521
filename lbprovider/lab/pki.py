"""Keys and certificates of one cluster, made anew for each: the API server's, and what signs ServiceAccount tokens."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pki:
    """The files."""

    ca: Path
    certificate: Path
    key: Path
    accounts: Path
    """The private key that signs ServiceAccount tokens; the public one is read from it too."""


def make(
    directory: Path,
    addresses: Sequence[IPv4Address | IPv6Address],
    names: Sequence[str],
    clients: Sequence[str] = (),
) -> Pki:
    """A certificate authority and a server certificate for these addresses and names, good for a day.

    Args:
        directory: where the files go; made here.
        addresses: of the server.
        names: of the server.
        clients: users who prove who they are by a certificate of the same authority, ``<user>.crt`` and ``<user>.key``.
    """
    directory.mkdir(parents=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("lbprovider lab")
    ca = (
        _certificate(issuer, issuer, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    alternatives = [*(x509.IPAddress(each) for each in addresses), *(x509.DNSName(each) for each in names)]
    subjects = {"server": ("kube-apiserver", alternatives), **{user: (user, []) for user in clients}}
    for file, (subject, also) in subjects.items():
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(_name(subject), issuer, key.public_key()).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        if also:
            builder = builder.add_extension(x509.SubjectAlternativeName(also), critical=False)
        certificate = builder.sign(ca_key, hashes.SHA256())
        (directory / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (directory / f"{file}.key").write_bytes(_pem(key))
    pki = Pki(*(directory / name for name in ("ca.crt", "server.crt", "server.key", "accounts.key")))
    pki.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    pki.accounts.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
    return pki


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # kube-apiserver reads the public half out of a private key only in this form.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
