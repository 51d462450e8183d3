//! A CGI program that needs no library: what a program on the interface crate is measured beside. It must not use the
//! crate.

#![allow(clippy::print_stdout, reason = "its standard output is its answer")]

fn main() {
    print!(
        "Status: 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 16\r\n\r\nHello from Rust\n"
    );
}
