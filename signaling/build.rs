//! Builds anew when an embedded page changes.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../examples");
    println!("cargo::rerun-if-changed=js/src");
}
