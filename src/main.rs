//! The command line: parses, runs the command, turns its outcome into an exit code. It knows nothing else.
fn main() {}
