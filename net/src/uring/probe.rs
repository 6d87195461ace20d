//! Whether this kernel can run mote, and what to do where it cannot.

use super::provided::Provided;
use super::ring::builder;
use std::fmt;
use std::io;

/// The oldest Linux that has all of it: multishot receive (6.0) and deferred task run (6.1).
const KERNEL_MIN: (u32, u32) = (6, 1);

/// Locked memory that glommio asks for before it starts.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// Why shards cannot run here; its text says what to do.
#[derive(Debug)]
pub enum KernelError {
    TooOld {
        release: String,
    },
    /// io_uring is there and this process may not use it.
    Forbidden {
        by_sysctl: bool,
    },
    /// The kernel was built without io_uring.
    Missing,
    Memlock {
        limit: u64,
    },
    /// A kernel that is new enough by its number and still refuses.
    Refused {
        what: &'static str,
        error: io::Error,
    },
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = KERNEL_MIN;
        match self {
            KernelError::TooOld { release } => write!(
                f,
                "this kernel is Linux {release}; mote needs {major}.{minor} or newer. Run it on a newer kernel (in a \
                 container the kernel is the host's)"
            ),
            KernelError::Forbidden { by_sysctl: true } => f.write_str(
                "io_uring is switched off on this machine. Switch it on with `sysctl kernel.io_uring_disabled=0`, or \
                 with 1 and run mote as a member of the group in kernel.io_uring_group",
            ),
            KernelError::Forbidden { by_sysctl: false } => f.write_str(
                "io_uring is forbidden to this process, usually by a container's seccomp profile. Allow the system \
                 calls io_uring_setup, io_uring_enter and io_uring_register in the profile (Docker, Podman: \
                 `--security-opt seccomp=<profile.json>`; Kubernetes: securityContext.seccompProfile)",
            ),
            KernelError::Missing => {
                f.write_str("this kernel was built without io_uring (CONFIG_IO_URING). Run mote on one that has it")
            }
            KernelError::Memlock { limit } => write!(
                f,
                "this process may lock {limit} bytes of memory; mote needs {MEMLOCK_BYTES_MIN}. Raise the limit with \
                 `ulimit -l 8192`, LimitMEMLOCK=8M in the systemd unit, or `--ulimit memlock=8388608` for a container"
            ),
            KernelError::Refused { what, error } => {
                write!(f, "this kernel refuses {what}: {error}. Linux {major}.{minor} or newer is known to work")
            }
        }
    }
}

impl std::error::Error for KernelError {}

/// Looks at the release, the limits, and tries a small ring as the shards will make theirs.
pub(crate) fn check_kernel() -> Result<(), KernelError> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if version(&release).is_some_and(|version| version < KERNEL_MIN) {
        return Err(KernelError::TooOld { release });
    }
    let memlock = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    if let Some(limit) = memlock.filter(|limit| *limit < MEMLOCK_BYTES_MIN) {
        return Err(KernelError::Memlock { limit });
    }
    let ring = builder().setup_cqsize(64).build(8).map_err(|error| refused("a ring", error))?;
    // The buffers are dropped after the ring, as they must be.
    let buffers = Provided::register(&ring.submitter(), 1, 4_096);
    drop(ring);
    buffers.map(drop).map_err(|error| refused("shared receive buffers", error))
}

fn refused(what: &'static str, error: io::Error) -> KernelError {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => KernelError::Missing,
        Some(libc::EPERM | libc::EACCES) => {
            let setting = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
            KernelError::Forbidden { by_sysctl: matches!(setting.trim(), "1" | "2") }
        }
        _ => KernelError::Refused { what, error },
    }
}

/// Major and minor of a release such as `6.1.0-18-amd64`; `None` where it is spelled otherwise.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_distributions_spell_them() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("5.15.167.4-microsoft-standard-WSL2"), Some((5, 15)));
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("6.12+"), Some((6, 12)));
        assert_eq!(version("rolling"), None);
        assert!(version("5.19.17").unwrap() < KERNEL_MIN);
    }

    #[test]
    fn what_the_kernel_says_becomes_what_to_do() {
        let text = |code| refused("a ring", io::Error::from_raw_os_error(code)).to_string();
        assert!(text(libc::ENOSYS).contains("CONFIG_IO_URING"));
        assert!(text(libc::EPERM).contains("seccomp") || text(libc::EPERM).contains("sysctl"));
        assert!(text(libc::EINVAL).contains("6.1 or newer"));
        assert!(KernelError::TooOld { release: "5.10.0".into() }.to_string().contains("6.1 or newer"));
        assert!(KernelError::Memlock { limit: 1 }.to_string().contains("ulimit -l"));
    }
}
