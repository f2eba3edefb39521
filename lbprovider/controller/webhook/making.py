"""Makes a generation. Needs ``cryptography``, which costs 10 MB: imported when it is time, by one replica in 60 days.

The authority's key is used once and forgotten, so that nobody can ever sign a second certificate with it: who reads the
Secret can pass for the webhook, and for nothing else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lbprovider.controller.webhook.certificates import BACKDATE, LIFE, Generation, Pems

_CURVE = ec.SECP256R1()


def make(names: Sequence[str], now: float) -> Generation:
    """A new authority, and a server certificate of it for these DNS names.

    Args:
        names: the first is the certificate's own.
        now: seconds since 1970.
    """
    begins, ends = int(now) - BACKDATE, int(now) + LIFE
    authority_key, key = ec.generate_private_key(_CURVE), ec.generate_private_key(_CURVE)
    # Each authority has a name of its own: by that the API server finds the one of several that signed.
    issuer = _name(f"lbprovider webhook {x509.random_serial_number():x}"[:64])
    authority = (
        _certificate(issuer, issuer, authority_key.public_key(), begins, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _certificate(_name(names[0][:64]), issuer, key.public_key(), begins, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # What counts: since RFC 6125 nobody looks for a host in the subject.
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return Generation(Pems(_pem(authority), _pem(certificate), _private(key)), begins, ends)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: int, ends: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(begins, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(ends, dt.UTC))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
