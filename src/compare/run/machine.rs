//! What this machine is, from `/proc`; it must not know what it is asked for.

use std::fs;

use crate::compare::findings::Machine;

/// Asks the kernel what this machine is.
pub(super) fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let uname = rustix::system::uname();
    Machine {
        cpu_model: cpu_model(&read("/proc/cpuinfo")),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        memory_bytes: memory_bytes(&read("/proc/meminfo")),
        kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        load_before: read("/proc/loadavg").split_whitespace().next().and_then(|load| load.parse().ok()),
    }
}

/// The processor's name: "model name" on most machines; some processors have none, and tell what board they sit on.
fn cpu_model(cpuinfo: &str) -> String {
    let named = |name: &str| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let name = named("model name").or_else(|| named("Model")).or_else(|| named("Hardware"));
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    line.trim().strip_suffix("kB").and_then(|kib| kib.trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_is() {
        let machine = machine();
        assert!(!machine.cpu_model.is_empty() && machine.cores > 0 && machine.memory_bytes > 1 << 20);
        assert!(machine.kernel.starts_with("Linux "), "{}", machine.kernel);
        assert!(machine.load_before.is_some_and(|load| load >= 0.0));
    }

    #[test]
    fn what_cannot_be_read_is_no_error() {
        assert_eq!(cpu_model("Hardware\t: BCM2835\nModel : A Board"), "A Board");
        assert_eq!(cpu_model(""), std::env::consts::ARCH);
        assert_eq!(memory_bytes("MemTotal:       2048 kB\n"), 2 << 20);
        assert_eq!(memory_bytes("nothing"), 0);
    }
}
