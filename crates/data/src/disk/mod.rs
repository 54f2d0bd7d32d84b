//! Folders and files that several processes may write.
//!
//! One process at a time writes a folder ([`FolderLock`]); a file or folder has another name until it is complete
//! ([`TemporaryFolder`], [`temporary_file`]), and gets its final name in one step ([`exchange()`]). [`sweep`] removes
//! what a killed process left under such a name: the lock on it ended with the process. This module does not depend on
//! the contents.

mod durable;
mod exchange;
mod identity;
mod lock;
mod temporary;

pub use durable::{create_folders, sync_folder};
pub use exchange::exchange;
pub use identity::FolderIdentity;
pub use lock::{FolderLock, Holder, LOCK_FILE, Lock, Refusal};
pub use temporary::{TemporaryFolder, Unlockable, is_temporary, sweep, temporary_file};
