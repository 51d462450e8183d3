//! What the gateway tells the service manager that started it, by the protocol of sd_notify(3). It must not know what a
//! gateway is, nor what the manager does about it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::startup::take_variables;

/// So long may the manager keep us from going on when it does not read: it has much to do, but not for ever.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The shortest pause between two signs of life, whatever the manager asks for.
const MIN_PULSE: Duration = Duration::from_millis(1);

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'n> {
    /// It serves; after [`News::Reloading`]: the reload is over. With a line for people.
    Ready(&'n str),
    /// It reads its configuration again.
    Reloading,
    /// It ends, and finishes what it has begun.
    Stopping,
    /// A line for people.
    Status(&'n str),
    /// The sign of life that the watchdog waits for.
    Alive,
}

/// The way to the service manager; silent when there is none.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    address: Option<OsString>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`, and takes them out of the environment, so that no program
    /// can speak for us. Call it first thing in `main`, while there is one thread: afterwards they can be read only.
    #[must_use]
    pub fn take() -> Self {
        let [address, period_us, pid] = take_variables(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]);
        Self::of(address, period_us.as_deref(), pid.as_deref(), std::process::id())
    }

    fn of(address: Option<OsString>, period_us: Option<&OsStr>, pid: Option<&OsStr>, own: u32) -> Self {
        let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
        // sd_watchdog_enabled(3): without a number it is meant for whoever reads it.
        let is_ours = pid.is_none_or(|pid| number(pid) == Some(u64::from(own)));
        let period = period_us.and_then(number).filter(|us| *us > 0 && is_ours).map(Duration::from_micros);
        Self { address: address.filter(|address| !address.is_empty()), watchdog: period }
    }

    /// Whether there is somebody to tell.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.address.is_some()
    }

    /// How often to say [`News::Alive`]: twice in the time after which the watchdog bites. `None`: nobody waits for it.
    #[must_use]
    pub fn pulse(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.is_heard()).map(|period| (period / 2).max(MIN_PULSE))
    }

    /// Tells it. At most for a second, when the manager does not read.
    ///
    /// # Errors
    ///
    /// The address is none, nobody listens there, or nobody reads. Without a service manager there is no error.
    pub fn tell(&self, news: News<'_>) -> io::Result<()> {
        let Some(address) = &self.address else { return Ok(()) };
        let address = to_address(address)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        socket.send_to_addr(news.message().as_bytes(), &address).map(drop)
    }
}

impl News<'_> {
    /// The message, one assignment a line.
    fn message(self) -> String {
        match self {
            Self::Ready(status) => format!("READY=1\nSTATUS={}", one_line(status)),
            Self::Reloading => {
                // The clock tells the manager that this is about the reload that it has just asked for.
                let now = clock_gettime(ClockId::Monotonic);
                format!(
                    "RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading",
                    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
                )
            }
            Self::Stopping => "STOPPING=1\nSTATUS=draining".to_owned(),
            Self::Status(status) => format!("STATUS={}", one_line(status)),
            Self::Alive => "WATCHDOG=1".to_owned(),
        }
    }
}

/// A second line would be another assignment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// sd_notify(3): a path from the root, or `@` and an abstract name.
fn to_address(text: &OsStr) -> io::Result<SocketAddr> {
    match text.as_bytes() {
        [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(text),
        _ => {
            let message =
                format!("NOTIFY_SOCKET is {text:?}, neither a path from the root nor \"@\" and a name");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(address: &str, period_us: Option<&str>, pid: Option<&str>) -> Notifier {
        Notifier::of(Some(address.into()), period_us.map(OsStr::new), pid.map(OsStr::new), 42)
    }

    #[test]
    fn without_a_manager_nothing_is_told_and_nothing_fails() {
        for silent in [Notifier::default(), notifier("", Some("1000000"), None)] {
            assert!(!silent.is_heard() && silent.pulse().is_none());
            silent.tell(News::Ready("x")).unwrap();
        }
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_and_only_when_it_is_ours() {
        let pulse = |period_us, pid| notifier("@x", period_us, pid).pulse();
        assert_eq!(pulse(Some("3000000"), Some("42")), Some(Duration::from_millis(1500)));
        assert_eq!(pulse(Some("3000000"), None), Some(Duration::from_millis(1500)));
        assert_eq!(pulse(Some("1"), Some("42")), Some(MIN_PULSE));
        assert_eq!(pulse(Some("3000000"), Some("43")), None);
        for nonsense in [None, Some("0"), Some("soon"), Some("-1"), Some("")] {
            assert_eq!(pulse(nonsense, Some("42")), None, "{nonsense:?}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_an_error_with_its_text() {
        for bad in ["relative", "@", "vsock:2:1"] {
            let error = notifier(bad, None, None).tell(News::Alive).unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn an_abstract_name_that_nobody_listens_at_is_an_error() {
        let error = notifier("@gatebridge-nobody-is-here", None, None).tell(News::Alive).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn no_line_for_people_becomes_another_assignment() {
        assert_eq!(News::Status("a\nWATCHDOG=1\r").message(), "STATUS=a WATCHDOG=1 ");
        assert_eq!(News::Ready("a\nb").message(), "READY=1\nSTATUS=a b");
    }
}
