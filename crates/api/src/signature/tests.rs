//! Vectors: what counts as a signature of an image, and what of everything else is refused as what.

use super::*;
use SignatureError as E;

const REPOSITORY: &str = "acp/product-image";

fn signer() -> Signer {
    Signer::new("acp-1", &[7; 32])
}

fn keys() -> Vec<SigningKey> {
    vec![signer().public("2030-06-30".parse().unwrap())]
}

fn digest() -> Digest {
    Digest::of(b"product image")
}

fn now() -> Option<Timestamp> {
    Some("2026-11-22T12:00:00Z".parse().unwrap())
}

fn judged(found: &[FoundSignature]) -> Result<String, E> {
    verify(found, REPOSITORY, &digest(), &keys(), now())
}

/// A payload of any bytes, signed by the trusted key.
fn signed(payload: &str) -> FoundSignature {
    let payload = payload.as_bytes().to_vec();
    let signature = signer().sign(&payload);
    FoundSignature { payload, signature }
}

fn text() -> String {
    format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"{REPOSITORY}\"}},\"image\":{{\"docker-manifest-digest\":\"{}\"}},\"type\":\"{SIGNATURE_TYPE}\"}},\"optional\":null}}",
        digest()
    )
}

#[test]
fn a_signature_of_a_trusted_key_counts() {
    let good = sign(REPOSITORY, &digest(), &signer());
    assert_eq!(judged(std::slice::from_ref(&good)).unwrap(), "acp-1");
    assert_eq!(judged(&[signed(&text())]).unwrap(), "acp-1");
    let foreign = sign(REPOSITORY, &digest(), &Signer::new("else", &[8; 32]));
    assert_eq!(judged(&[foreign, good.clone()]).unwrap(), "acp-1");
    // The same bytes each time: packages are reproducible.
    assert_eq!(good, sign(REPOSITORY, &digest(), &signer()));
}

#[test]
fn an_image_without_a_signature_is_not_trusted() {
    assert!(matches!(judged(&[]), Err(E::Missing(_))));
}

#[test]
fn a_key_that_is_not_trusted_counts_for_nothing() {
    let found = sign(REPOSITORY, &digest(), &Signer::new("else", &[8; 32]));
    let Err(E::KeyUnknown(text)) = judged(std::slice::from_ref(&found)) else { panic!() };
    assert!(text.contains("key else") && text.contains("trusted: acp-1"), "{text}");
    let none = verify(&[found], REPOSITORY, &digest(), &[], now());
    assert!(matches!(none, Err(E::KeyUnknown(_))));
    // It takes the name of a trusted key.
    let found = sign(REPOSITORY, &digest(), &Signer::new("acp-1", &[8; 32]));
    assert!(matches!(judged(&[found]), Err(E::Invalid(_))));
}

#[test]
fn a_key_counts_until_its_last_day_unless_the_calendar_is_not_asked() {
    let found = [sign(REPOSITORY, &digest(), &signer())];
    let late = Some("2030-07-01T00:00:00Z".parse().unwrap());
    let judged = |at| verify(&found, REPOSITORY, &digest(), &keys(), at);
    let Err(E::KeyExpired(text)) = judged(late) else { panic!() };
    assert!(text.contains("2030-06-30"), "{text}");
    assert_eq!(judged(Some("2030-06-30T23:59:59Z".parse().unwrap())).unwrap(), "acp-1");
    assert_eq!(judged(None).unwrap(), "acp-1");
}

#[test]
fn the_signature_of_another_image_counts_for_nothing() {
    let other = Digest::of(b"another image");
    let Err(E::Invalid(text)) = judged(&[sign(REPOSITORY, &other, &signer())]) else { panic!() };
    assert!(text.contains(other.as_str()), "{text}");
    let elsewhere = sign("acp/other", &digest(), &signer());
    let Err(E::Invalid(text)) = judged(&[elsewhere]) else { panic!() };
    assert!(text.contains("acp/other"), "{text}");
}

#[test]
fn payload_and_signature_belong_together() {
    let (one, other) =
        (sign(REPOSITORY, &digest(), &signer()), sign("acp/other", &digest(), &signer()));
    let swapped = FoundSignature { signature: other.signature, ..one };
    assert!(matches!(judged(&[swapped]), Err(E::Invalid(_))));
}

#[test]
fn signatures_that_are_none_are_refused() {
    let good = signed(&text());
    let with = |signature: &str| FoundSignature { signature: signature.to_owned(), ..good.clone() };
    let short = &good.signature[..good.signature.len() - 4];
    for signature in ["", "====", "AAAA", short, &format!("{} ", good.signature)] {
        assert!(judged(&[with(signature)]).is_err(), "{signature}");
    }
    assert!(matches!(judged(&[with(&"A".repeat(SIGNATURE_TEXT_LIMIT + 1))]), Err(E::Invalid(_))));
    assert!(matches!(judged(&[signed("")]), Err(E::Invalid(_))));
    let long = text().replace("null", &format!("{{\"x\":\"{}\"}}", "x".repeat(17_000)));
    assert!(matches!(judged(&[signed(&long)]), Err(E::Invalid(_))));
}

#[test]
fn a_payload_that_says_more_or_less_than_it_may_is_refused() {
    let good = text();
    let digest = digest().to_string();
    let vectors = [
        good.replace("\"optional\":null", "\"optional\":null,\"more\":1"),
        good.replace("\"type\":", "\"more\":1,\"type\":"),
        good.replace("\"docker-reference\":", "\"more\":1,\"docker-reference\":"),
        good.replace("\"docker-manifest-digest\":", "\"more\":1,\"docker-manifest-digest\":"),
        good.replace("\"type\":", "\"type\":\"x\",\"type\":"),
        good.replace(&format!("\"docker-manifest-digest\":\"{digest}\""), ""),
        good.replace(&format!("\"{digest}\""), "null"),
        good.replace(&format!("\"{digest}\""), &format!("[\"{digest}\"]")),
        good.replace(&digest, &digest.to_uppercase()),
        good.replace(&digest, &format!(" {digest}")),
        good.replace(&digest, &digest[7..]),
        good.replace(SIGNATURE_TYPE, "atomic container signature"),
        good.replace(SIGNATURE_TYPE, "Cosign container image signature"),
        good.replace(REPOSITORY, ""),
        good.replace(REPOSITORY, "acp/product-image/x"),
        good.replace(REPOSITORY, "registry:5000/acp/product-image"),
        format!("{good}{good}"),
        format!("[{good}]"),
        good[1..].to_owned(),
        "null".to_owned(),
    ];
    for vector in vectors {
        assert_ne!(vector, good);
        assert!(matches!(judged(&[signed(&vector)]), Err(E::Invalid(_))), "{vector}");
    }
    // What whoever signed adds for people changes nothing.
    let more = good.replace("null", "{\"key\":\"acp-1\",\"creator\":{\"a\":[1]}}");
    assert_eq!(judged(&[signed(&more)]).unwrap(), "acp-1");
    let without = good.replace(",\"optional\":null", "");
    assert_eq!(judged(&[signed(&without)]).unwrap(), "acp-1");
}

#[test]
fn only_so_many_signatures_are_looked_at() {
    let foreign = sign(REPOSITORY, &digest(), &Signer::new("else", &[8; 32]));
    let mut many = vec![foreign; SIGNATURE_LIMIT];
    many.push(signed(&text()));
    assert!(matches!(judged(&many), Err(E::KeyUnknown(_))));
}

#[test]
fn the_sums_of_a_package_are_signed_as_a_whole() {
    let sums = b"aa  upgrade.sh\n";
    let line = sign_sums(sums, &signer());
    let other = sign_sums(sums, &Signer::new("else", &[8; 32]));
    let judged = |text: &str| verify_sums(sums, text, &keys(), now());
    assert_eq!(judged(&line).unwrap(), "acp-1");
    assert_eq!(judged(&format!("{other}{line}")).unwrap(), "acp-1");
    assert!(matches!(judged(&other), Err(E::KeyUnknown(_))));
    assert!(matches!(judged(""), Err(E::Missing(_))));
    assert!(matches!(judged("x"), Err(E::Invalid(_))));
    assert!(matches!(judged(&other.replace("else", "acp-1")), Err(E::Invalid(_))));
    assert!(verify_sums(b"ab  upgrade.sh\n", &line, &keys(), now()).is_err());
    let late = Some("2031-01-01T00:00:00Z".parse().unwrap());
    assert!(matches!(verify_sums(sums, &line, &keys(), late), Err(E::KeyExpired(_))));
}

#[test]
fn the_tag_of_signatures_is_told_from_others() {
    let tag = signature_tag(&digest());
    assert!(is_signature_tag(&tag), "{tag}");
    for other in ["v4.3.0", "sha256-x.sig", "sha256-.sig", &tag[..tag.len() - 4]] {
        assert!(!is_signature_tag(other), "{other}");
    }
}
