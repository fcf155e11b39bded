use std::io::Write as _;

use tempfile::NamedTempFile;

use super::*;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("it is written");
    file
}

fn refusal(text: &str) -> String {
    let file = file(text);
    format!("{:#}", Trust::of_file(file.path()).expect_err("nobody is named"))
}

#[test]
fn a_file_names_one_authority_or_several() {
    let certificate = || {
        let made = rcgen::generate_simple_self_signed(["media.example".to_owned()]).expect("a certificate");
        made.cert.pem()
    };
    let both = file(&format!("Ours:\n{}and theirs:\n{}", certificate(), certificate()));
    assert!(Trust::of_file(both.path()).expect("both are taken").named);
}

#[test]
fn a_file_that_names_nobody_is_refused_with_the_reason() {
    let error = Trust::of_file(Path::new("/nowhere/ca.pem")).expect_err("it is not there");
    assert!(error.to_string().starts_with("/nowhere/ca.pem cannot be read"), "{error}");
    assert!(refusal("").ends_with("BEGIN CERTIFICATE"), "{}", refusal(""));
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    assert!(refusal(&key).contains("no certificate"), "{}", refusal(&key));
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    assert!(refusal(cut).contains("is no PEM file"), "{}", refusal(cut));
    let broken = format!("{cut}-----END CERTIFICATE-----\n");
    assert!(refusal(&broken).contains("has a broken certificate"), "{}", refusal(&broken));
}
