//! Writing to a descriptor without a buffer and without a lock; it must not know what is written.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

/// A descriptor that can be written to.
pub(crate) struct Descriptor<'a>(pub(crate) BorrowedFd<'a>);

impl Write for Descriptor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(self.0, slices)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes slices to a descriptor, by one call if it takes them all at once.
pub(crate) fn write_all(mut out: impl Write, slices: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<io::IoSlice<'_>> =
        slices.iter().filter(|slice| !slice.is_empty()).map(|slice| io::IoSlice::new(slice)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match out.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => io::IoSlice::advance_slices(&mut left, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes slices to a descriptor, as many bytes as it takes at once.
#[cfg(feature = "tokio")]
pub(crate) fn next_slices(mut out: impl Write, slices: &[&[u8]]) -> io::Result<usize> {
    let slices: Vec<io::IoSlice<'_>> =
        slices.iter().filter(|slice| !slice.is_empty()).map(|slice| io::IoSlice::new(slice)).collect();
    loop {
        match out.write_vectored(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}
