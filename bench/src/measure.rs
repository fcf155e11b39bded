//! What processes and threads cost, read from `/proc`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// The processors of the machine, whichever of them this process may use: the server may use others.
pub fn processors() -> usize {
    let counted = std::fs::read_to_string("/proc/stat").map_or(0, |stat| count_processors(&stat));
    if counted > 0 { counted } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// The processors of which this content of `/proc/stat` tells.
pub(crate) fn count_processors(stat: &str) -> usize {
    let numbered = |name: &str| name.starts_with(|first: char| first.is_ascii_digit());
    stat.lines().filter(|line| line.strip_prefix("cpu").is_some_and(numbered)).count()
}

/// A process's processor time and memory at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessUsage {
    /// User and system time since it began, in microseconds.
    pub cpu_us: u64,
    /// Resident memory, in KiB.
    pub rss_kib: u64,
    /// The most resident memory it ever had, in KiB.
    pub peak_rss_kib: u64,
    /// Its threads.
    pub threads: u64,
}

impl ProcessUsage {
    /// The usage of the process with that id now.
    ///
    /// # Errors
    /// No such process, or a `/proc` this does not understand.
    pub fn of(pid: u32) -> Result<Self> {
        let stat =
            std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid}"))?;
        Self::parse(&stat, &status).with_context(|| format!("what /proc says of process {pid}"))
    }

    /// This process's usage.
    ///
    /// # Errors
    /// As [`ProcessUsage::of`].
    pub fn of_this_process() -> Result<Self> {
        Self::of(std::process::id())
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            cpu_us: cpu_us(stat)?,
            rss_kib: field("VmRSS")?,
            peak_rss_kib: field("VmHWM")?,
            threads: field("Threads")?,
        })
    }
}

/// One thread's processor time since a moment.
#[derive(Clone, Copy, Debug)]
pub struct ThreadCpu {
    began: Instant,
    cpu_us: u64,
}

impl ThreadCpu {
    /// Counts the calling thread from now on; none without `/proc`.
    pub fn of_this_thread() -> Option<Self> {
        Some(Self { began: Instant::now(), cpu_us: this_thread_cpu_us()? })
    }

    /// User and system time since then, in steps of 10 ms; to be asked by the same thread.
    pub fn used(&self) -> Duration {
        Duration::from_micros(this_thread_cpu_us().unwrap_or(self.cpu_us).saturating_sub(self.cpu_us))
    }

    /// The share of the time since then that the thread was on a processor; to be asked by the same thread.
    pub fn busy(&self) -> f64 {
        self.used().as_micros() as f64 / (self.began.elapsed().as_micros() as f64).max(1.0)
    }
}

fn this_thread_cpu_us() -> Option<u64> {
    cpu_us(&std::fs::read_to_string("/proc/thread-self/stat").ok()?)
}

/// Fields 14 and 15, utime and stime, counted behind the name, which may hold spaces and parentheses.
fn cpu_us(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_US)
}

/// What `/proc` counts processor time in: `USER_HZ`, which Linux fixes at 100 towards user space.
pub(crate) const TICK_US: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_by_their_lines() {
        assert_eq!(count_processors("cpu  9 0 9\ncpu0 5 0 5\ncpu1 4 0 4\nintr 7\ncpus 3\n"), 2);
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1234 0 0 0 150 50 0 0 20 0 7 0 100 0 0";
        let status = "Name:\ta) b (c\nVmHWM:\t   9000 kB\nVmRSS:\t    8000 kB\nThreads:\t7\n";
        let usage = ProcessUsage::parse(stat, status).expect("readable");
        assert_eq!(usage, ProcessUsage { cpu_us: 2_000_000, rss_kib: 8000, peak_rss_kib: 9000, threads: 7 });
        assert_eq!(ProcessUsage::parse("42 (x", status), None);
    }

    #[test]
    fn this_process_is_there() {
        let usage = ProcessUsage::of_this_process().expect("there is /proc");
        assert!(usage.rss_kib > 0 && usage.peak_rss_kib >= usage.rss_kib && usage.threads >= 1);
        assert!(ThreadCpu::of_this_thread().is_some());
    }
}
