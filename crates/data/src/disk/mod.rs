//! Folders and files that more than one process may want to write.
//!
//! One process at a time writes a folder ([`FolderLock`]); what is written has another name until it is whole
//! ([`TemporaryFolder`], [`temporary_file`]), and takes its place in one step ([`exchange()`]); what a killed process left
//! under such a name is found by its lock, which died with the process, and goes ([`sweep`]). Nothing here knows what is
//! written.

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
