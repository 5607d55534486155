//! Asks for the C library, for its start-up code and `memcpy`; `std` would otherwise bring it.

fn main() {
    println!("cargo::rustc-link-lib=c");
}
