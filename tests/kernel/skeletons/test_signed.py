"""Signed loaders: what is signed, what openssl, bpftool and the kernel say of it, what is refused.

Kernels that check signatures are asked to; Debian's of forky and experimental (7.2, 7.3) were.
"""

from __future__ import annotations

import errno
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import osmia
from osmia.errors import KernelError, NotSignedError, NotSupportedError
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.skeletons import signed_load
from osmia.kernel.skeletons.loader_program import Form, LoaderProgram, signed_bytes
from osmia.kernel.skeletons.pkcs7 import Signer, certificate_der, is_signed
from osmia.kernel.skeletons.signed import SignedLoader, sign_file, sign_loader, verify_loader
from osmia.kernel.skeletons.signed_load import load_loader, loader_form
from osmia.kernel.sys import keyrings
from osmia.kernel.sys.keyrings import add_certificate
from osmia.object import Object

from .test_light import compiled

SOURCE = """
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} seen SEC(".maps");
int limit = 3;
const volatile int scale = 2;
SEC("xdp") int ingress(struct xdp_md *ctx)
{
    __u32 key = 7;
    __u64 value = limit * scale;
    bpf_map_update_elem(&seen, &key, &value, BPF_ANY);
    return limit > 5 ? XDP_DROP : XDP_PASS;
}
SEC("?tc") int left_out(struct __sk_buff *skb) { return 0; }
SEC("tc") int egress(struct __sk_buff *skb) { return limit; }
"""


class Keys:
    """A key and its certificate, as openssl makes them."""

    def __init__(self, folder: Path, *kind: str) -> None:
        folder.mkdir()
        self.key, self.cert, self.pem = folder / "key.pem", folder / "cert.der", folder / "cert.pem"
        request = ["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "9"]
        request += ["-subj", f"/CN={folder.name}", "-keyout", str(self.key), "-out", str(self.pem)]
        subprocess.run(request, check=True, capture_output=True)
        convert = f"openssl x509 -in {self.pem} -outform DER -out {self.cert}"
        subprocess.run(convert.split(), check=True)

    def signer(self) -> Signer:
        return Signer(self.key, self.cert)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "osmia_tests", "rsa:2048")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    kind = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    return Keys(tmp_path_factory.mktemp("keys") / "osmia_tests_others", *kind)


@pytest.fixture(scope="module")
def obj() -> Object:
    return compiled(SOURCE)


@pytest.fixture(scope="module")
def signed(obj: Object, keys: Keys) -> SignedLoader:
    return sign_loader(obj, keys.signer())


def openssl_says(keys: Keys, signature: bytes, content: bytes, folder: Path) -> bool:
    (folder / "signature").write_bytes(signature)
    (folder / "content").write_bytes(content)
    command = "openssl cms -verify -binary -inform der -noverify -in signature -content content"
    command += f" -out /dev/null -certfile {keys.pem}"
    return subprocess.run(command.split(), capture_output=True, cwd=folder).returncode == 0


@pytest.mark.parametrize("form", [Form.CHECKED, Form.COVERED])
def test_what_is_signed_is_what_openssl_verifies(
    signed: SignedLoader, keys: Keys, others: Keys, obj: Object, form: Form, tmp_path: Path
) -> None:
    made, signature = signed.forms[form]
    content = made.code + (made.data if form is Form.COVERED else b"")
    assert openssl_says(keys, signature, content, tmp_path)
    assert not openssl_says(keys, signature, content[:-1] + b"x", tmp_path)
    assert not openssl_says(others, signature, content, tmp_path)
    _, signature = sign_loader(obj, others.signer()).forms[form]
    assert openssl_says(others, signature, content, tmp_path)


def test_a_signature_is_checked_without_the_kernel(
    file: Path, keys: Keys, others: Keys, obj: Object
) -> None:
    for owner, other in ((keys, others), (others, keys)):
        sign_file(file, osmia.open(file), owner.signer())
        verify_loader(osmia.open(file), owner.pem)
        verify_loader(osmia.open(file), owner.cert)
        with pytest.raises(NotSignedError, match="is not by the key of that certificate"):
            verify_loader(osmia.open(file), other.cert)
        signature = owner.signer().sign(b"x")
        assert is_signed(b"x", signature, owner.cert)
        assert not is_signed(b"y", signature, owner.cert)


@pytest.fixture(scope="module")
def signature(keys: Keys) -> bytes:
    return keys.signer().sign(b"x")


@given(st.integers(0, 500), st.integers(0, 255), st.integers(0, 500))
@settings(max_examples=50, deadline=None)
def test_a_signature_that_was_changed_is_none_and_no_failure(
    keys: Keys, signature: bytes, at: int, value: int, end: int
) -> None:
    changed = bytearray(signature)
    changed[at % len(signature)] = value
    for each in (bytes(changed), signature[:end], signature[:end] + bytes(changed)):
        if each[-256:] != signature[-256:]:
            assert not is_signed(b"x", each, keys.cert)


def test_a_loader_signed_twice_is_the_same(obj: Object, signed: SignedLoader, keys: Keys) -> None:
    assert sign_loader(obj, Signer(keys.key, keys.pem)) == signed


def test_a_signed_loader_takes_nothing_from_who_runs_it(signed: SignedLoader) -> None:
    from osmia.isa import disassemble

    for made, _ in signed.forms.values():
        text = "\n".join(line for _, line in disassemble(made.code))
        assert "bpf_copy_from_user" not in text
        assert "bpf_probe_read_kernel" not in text
    checked, covered = (signed.forms[form][0].code for form in (Form.CHECKED, Form.COVERED))
    assert len(checked) - len(covered) == 8 * 23  # the check


def test_what_is_kept_is_read_again(signed: SignedLoader) -> None:
    assert SignedLoader.from_text(signed.to_text(), "x") == signed


def _bombs() -> Iterator[str]:
    yield from ("", "{", "[]", "{}", "[" * 100_000, '{"digest": 7, "loaders": {}}')
    for part in ("x", "eJw=", 7, None, "!"):
        loader = {"code": part, "data": part, "pkcs7": part}
        yield json.dumps({"digest": "0", "loaders": {"checked": loader}})
    yield json.dumps({"digest": "0", "loaders": {"other": {}}})


@pytest.mark.parametrize("text", [*_bombs()])
def test_what_osmia_did_not_write_is_one_error(text: str) -> None:
    with pytest.raises(NotSignedError, match=r"^x: its signature for the kernel is no text"):
        SignedLoader.from_text(text, "x")


def test_keys_that_are_none_are_told(keys: Keys, others: Keys, tmp_path: Path) -> None:
    from osmia.object.signatures import new_key

    (tmp_path / "ed25519").write_bytes(new_key()[0])
    (tmp_path / "none").write_bytes(b"x")
    command = f"openssl rsa -in {keys.key} -aes256 -passout pass:x -out {tmp_path / 'locked'}"
    subprocess.run(command.split(), check=True, capture_output=True)
    for name, why in {
        "ed25519": "RSA or ECDSA key",
        "none": "private key: it is no PEM of one",
        "locked": "private key: it has a passphrase",
    }.items():
        with pytest.raises(ValueError, match=f"{name} is no {why}"):
            Signer(tmp_path / name, keys.cert)
    with pytest.raises(ValueError, match=r"cert\.pem is the certificate of another key"):
        Signer(keys.key, others.pem)
    with pytest.raises(ValueError, match=r"none is no X\.509 certificate"):
        Signer(keys.key, tmp_path / "none")


def test_keyrings_have_names_and_numbers() -> None:
    assert keyrings.keyring_number("session") == -3
    assert keyrings.keyring_number("12345") == keyrings.keyring_number(12345) == 12345
    assert keyrings.keyring_number("secondary") == 1
    for wrong in ("", "mine", "-3", "²", -17, 1 << 31):
        with pytest.raises(ValueError, match="is no keyring"):
            keyrings.keyring_number(wrong)


@pytest.mark.kernel
def test_a_keyring_takes_certificates_alone(keys: Keys) -> None:
    assert add_certificate(certificate_der(keys.pem), "process") > 0
    with pytest.raises(KernelError, match="into the keyring process") as told:
        add_certificate(b"no certificate", "process")
    assert told.value.errno == errno.EBADMSG


@pytest.fixture
def file(obj: Object, tmp_path: Path) -> Path:
    path = tmp_path / "flows.bpf.o"
    path.write_bytes(obj.to_bytes())
    return path


@pytest.mark.kernel
def test_an_object_without_a_signed_loader_of_its_own_is_refused(file: Path, keys: Keys) -> None:
    with pytest.raises(NotSignedError, match=r"is not signed for the kernel: osmia sign --kernel"):
        osmia.open(file).load(keyring="session")
    sign_file(file, osmia.open(file), keys.signer())
    changed = osmia.open(file)
    changed.data["limit"] = 9
    with pytest.raises(NotSignedError, match="is not what was signed for the kernel"):
        changed.load(keyring="session")
    with pytest.raises(ValueError, match="'mine' is no keyring"):
        osmia.open(file).load(keyring="mine")
    with pytest.raises(ValueError, match="without prune="):
        osmia.open(file).load(keyring="session", prune=True)


@pytest.mark.kernel
@pytest.mark.second_kernel
def test_a_kernel_that_does_not_check_signatures_says_so(file: Path, keys: Keys) -> None:
    sign_file(file, osmia.open(file), keys.signer())
    try:
        add_certificate(certificate_der(keys.cert), "process")
        osmia.open(file).load(keyring="process").close()
    except NotSupportedError as error:
        assert "signatures of BPF programs" in str(error)
        assert error.since == "6.18" or "CONFIG_SYSTEM_DATA_VERIFICATION" in str(error)


def test_a_vm_has_no_keyrings(file: Path) -> None:
    with pytest.raises(NotSupportedError, match="keyring"):
        osmia.open(file).load("vm", keyring="session")  # type: ignore[call-overload]


@pytest.fixture
def checking(obj: Object, signed: SignedLoader, keys: Keys) -> Form:
    """The form that the kernel here takes, which has the certificate from now on."""
    try:
        add_certificate(certificate_der(keys.cert), "process")
        load_loader(obj, signed, "process").close()
        return loader_form()
    except NotSupportedError as error:
        pytest.skip(f"this kernel checks no signatures: {error}")


@pytest.mark.kernel
@pytest.mark.usefixtures("checking")
def test_what_a_signed_loader_loads_is_what_load_does(file: Path, keys: Keys, obj: Object) -> None:
    sign_file(file, osmia.open(file), keys.signer())
    ordinary = osmia.open(file).load()
    with osmia.open(file).load(keyring="process") as loaded, ordinary:
        assert isinstance(loaded, KernelObject)
        assert set(loaded.programs) == set(ordinary.programs) == {"ingress", "egress"}
        assert loaded.data["limit"] == 3
        loaded.data["limit"] = 6
        assert loaded.programs["ingress"].run(bytes(64)).verdict == "XDP_DROP"
        assert dict(loaded.maps["seen"].items()) == {7: 12}
        assert loaded.programs["egress"].run(bytes(64)).retval == 6
        with pytest.raises(osmia.ReadOnlyError):
            loaded.data["scale"] = 4
        for name, each in loaded.maps.items():
            same, other = each.info, ordinary.maps[name].info
            assert (same.name, same.type, same.max_entries) == (
                other.name,
                other.type,
                other.max_entries,
            )


def _changed(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("data", "was changed|is not what was signed"),
        ("code", "is not what was signed"),
        ("signature", "is not what was signed"),
        ("no signature", "a signature for the kernel of 0 bytes"),
        ("large signature", "a signature for the kernel of 9,001 bytes"),
        ("no PKCS#7", r"no PKCS#7 that the kernel reads"),
        ("another's", "no key of the signer's certificate is in the keyring process"),
    ],
)
def test_what_is_not_as_it_was_signed_is_not_run(
    obj: Object, signed: SignedLoader, checking: Form, others: Keys, what: str, why: str
) -> None:
    made, signature = signed.forms[checking]
    match what:
        case "data":
            made = LoaderProgram(made.code, _changed(made.data, -9 % len(made.data)))
        case "code":
            made = LoaderProgram(_changed(made.code, len(made.code) - 12), made.data)
        case "signature":
            signature = _changed(signature, len(signature) - 1)
        case "no signature":
            signature = b""
        case "large signature":
            signature = bytes(9001)
        case "no PKCS#7":
            signature = b"x" * 300
        case _:
            signature = others.signer().sign(signed_bytes(checking, made))
    changed = replace(signed, forms={checking: (made, signature)})
    with pytest.raises(NotSignedError, match=why):
        load_loader(obj, changed, "process")


@pytest.mark.kernel
def test_a_key_that_is_in_another_keyring_is_none(
    obj: Object, signed: SignedLoader, checking: Form
) -> None:
    for keyring, why in {"builtin": "is in the keyring builtin", "123456789": "no keyring"}.items():
        with pytest.raises(NotSignedError, match=why):
            load_loader(obj, signed, keyring)


@pytest.mark.kernel
def test_the_other_form_is_not_tried(obj: Object, signed: SignedLoader, checking: Form) -> None:
    forms = {form: each for form, each in signed.forms.items() if form is not checking}
    with pytest.raises(NotSignedError, match="not signed for kernels such as this one"):
        load_loader(obj, replace(signed, forms=forms), "process")


@pytest.mark.kernel
@pytest.mark.usefixtures("checking")
def test_a_program_that_the_verifier_refuses_is_explained(keys: Keys) -> None:
    source = 'SEC("xdp") int bad(struct xdp_md *c) { return *(int *)(long)c->data; }'
    broken = compiled(source)
    with pytest.raises(osmia.VerifierError, match=r"rejected program 'source': source\.bpf\.c:4"):
        load_loader(broken, sign_loader(broken, keys.signer()), "process")


@pytest.mark.kernel
def test_a_kernel_before_signatures_is_known_by_its_types(
    obj: Object, signed: SignedLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoTypes:
        def find(self, *_: Any) -> int:
            return 0

        def type(self, _: int) -> None:
            return None

    monkeypatch.setattr(signed_load, "kernel_btf", NoTypes)
    with pytest.raises(NotSupportedError, match="not checked here") as told:
        load_loader(obj, signed, "process")
    assert told.value.since == "6.18"
