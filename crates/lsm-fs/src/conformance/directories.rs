//! What holds of an open directory, whatever becomes of the path that it was opened under.

use super::*;
use crate::{Directory, FileName, create_dir_all_synced};

const A: FileName = FileName::constant("a");
const B: FileName = FileName::constant("b");
const D: FileName = FileName::constant("d");
const LOCK: FileName = FileName::constant("LOCK");

impl World {
    fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A new directory in the world's own, opened.
    fn store(&self, name: &str) -> Arc<dyn Directory> {
        self.fs.create_dir(&self.at(name)).unwrap();
        self.open(name)
    }

    fn open(&self, name: &str) -> Arc<dyn Directory> {
        self.fs.open_dir(&self.at(name)).unwrap()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fs.rename(&self.at(from), &self.at(to))
    }
}

fn write(dir: &dyn Directory, name: &FileName, bytes: &[u8]) -> Arc<dyn File> {
    let file = dir.create_new(name).unwrap();
    file.append_all(bytes).unwrap();
    file
}

fn listed(dir: &dyn Directory) -> Vec<String> {
    let entries = dir.list().unwrap().into_iter();
    entries
        .map(|entry| entry.name.into_string().unwrap())
        .collect()
}

#[test]
fn a_directory_does_by_name_what_is_asked() {
    on_every_world(|world| {
        let dir = world.store("s");
        assert_eq!(dir.path(), world.at("s"));
        assert_eq!(dir.path_of(&A), world.at("s/a"));
        write(&*dir, &A, b"one");
        assert_eq!(kind_of(dir.create_new(&A)), ErrorKind::AlreadyExists);
        assert_eq!(dir.file_len(&A).unwrap(), 3);
        assert_eq!(dir.kind(&A).unwrap(), Some(EntryKind::File));
        dir.rename(&A, &B).unwrap();
        assert_eq!(dir.kind(&A).unwrap(), None);
        assert_eq!(content(&*dir.open(&B).unwrap()), b"one");
        dir.sync().unwrap();
        dir.unlink(&B).unwrap();
        assert_eq!(kind_of(dir.unlink(&B)), ErrorKind::NotFound);
        assert_eq!(kind_of(dir.open(&B)), ErrorKind::NotFound);
        assert_eq!(kind_of(dir.rename(&B, &A)), ErrorKind::NotFound);
        assert_eq!(listed(&*dir), Vec::<String>::new());
    });
}

#[test]
fn only_a_directory_opens_as_one() {
    on_every_world(|world| {
        write(&*world.store("s"), &A, b"");
        let open = |path: &Path| kind_of(world.fs.open_dir(path));
        assert_eq!(open(&world.at("none")), ErrorKind::NotFound);
        assert_eq!(open(&world.at("s/a")), ErrorKind::NotADirectory);
        assert_eq!(open(Path::new("")), ErrorKind::NotFound);
    });
}

#[test]
fn a_moved_directory_goes_on_under_its_new_path() {
    on_every_world(|world| {
        let dir = world.store("s");
        let file = write(&*dir, &A, b"before ");
        world.rename("s", "moved").unwrap();
        file.append_all(b"after").unwrap();
        file.sync().unwrap();
        write(&*dir, &B, b"new");
        dir.sync().unwrap();
        assert_eq!(listed(&*dir), ["a", "b"]);
        assert!(dir.is_linked().unwrap() && file.is_linked().unwrap());
        assert_eq!(dir.path(), world.at("s"), "as it was opened");
        let there = world.open("moved");
        assert_eq!(content(&*there.open(&A).unwrap()), b"before after");
        assert_eq!(listed(&*there), ["a", "b"]);
        assert_eq!(world.fs.kind(&world.at("s")).unwrap(), None);
    });
}

#[test]
fn a_directory_is_told_from_others_by_its_id_whatever_its_path() {
    on_every_world(|world| {
        let dir = world.store("s");
        let other = world.store("other");
        let Some(id) = dir.id() else {
            // A platform that cannot tell tells of none.
            assert_eq!(other.id(), None);
            return;
        };
        assert_eq!(world.open("s").id(), Some(id));
        assert_ne!(other.id(), Some(id));
        world.rename("s", "moved").unwrap();
        assert_eq!((dir.id(), world.open("moved").id()), (Some(id), Some(id)));
        assert_ne!(world.store("s").id(), Some(id), "another one in its place");
    });
}

#[test]
fn a_replaced_directory_leaves_the_new_one_alone() {
    on_every_world(|world| {
        let dir = world.store("s");
        write(&*dir, &A, b"ours");
        world.rename("s", "aside").unwrap();
        let other = world.store("s");
        write(&*other, &A, b"theirs");
        write(&*dir, &B, b"");
        dir.unlink(&A).unwrap();
        dir.sync().unwrap();
        assert_eq!(listed(&*other), ["a"]);
        assert_eq!(content(&*other.open(&A).unwrap()), b"theirs");
        assert_eq!(listed(&*dir), ["b"]);
        assert!(dir.is_linked().unwrap());
    });
}

#[test]
fn in_a_removed_directory_files_go_on_and_names_do_not() {
    on_every_world(|world| {
        let dir = world.store("s");
        let file = write(&*dir, &A, b"before ");
        assert!(dir.is_linked().unwrap() && file.is_linked().unwrap());
        (world.remove_dir_all)(&world.at("s")).unwrap();
        assert!(!dir.is_linked().unwrap());
        assert!(!file.is_linked().unwrap());
        file.append_all(b"after").unwrap();
        file.sync().unwrap();
        dir.sync().unwrap();
        assert_eq!(content(&*file), b"before after");
        assert_eq!(kind_of(dir.create_new(&B)), ErrorKind::NotFound);
        assert_eq!(kind_of(dir.open(&A)), ErrorKind::NotFound);
        assert_eq!(kind_of(dir.unlink(&A)), ErrorKind::NotFound);
        assert_eq!(kind_of(dir.lock(&LOCK)), ErrorKind::NotFound);
        assert_eq!(listed(&*dir), Vec::<String>::new());
        assert_eq!(dir.kind(&A).unwrap(), None);
        // One that comes in its place is another one.
        let other = world.store("s");
        assert!(!dir.is_linked().unwrap() && other.is_linked().unwrap());
        assert_eq!(listed(&*other), Vec::<String>::new());
    });
}

#[test]
fn a_file_is_linked_as_long_as_it_has_a_name() {
    on_every_world(|world| {
        let (dir, other) = (world.store("s"), world.store("t"));
        let file = write(&*dir, &A, b"x");
        dir.hard_link(&A, &*other, &B).unwrap();
        assert_eq!(
            kind_of(dir.hard_link(&A, &*other, &B)),
            ErrorKind::AlreadyExists
        );
        dir.unlink(&A).unwrap();
        assert!(file.is_linked().unwrap());
        assert_eq!(content(&*other.open(&B).unwrap()), b"x");
        // A file that takes its name takes its link.
        write(&*other, &A, b"y");
        other.rename(&A, &B).unwrap();
        assert!(!file.is_linked().unwrap());
        assert_eq!(kind_of(dir.hard_link(&A, &*other, &D)), ErrorKind::NotFound);
    });
}

#[test]
fn a_link_into_another_file_system_is_refused() {
    on_every_world(|world| {
        let elsewhere = SimFs::new().open_dir(Path::new("/")).unwrap();
        let dir = world.store("s");
        write(&*dir, &A, b"");
        assert_eq!(
            kind_of(dir.hard_link(&A, &*elsewhere, &A)),
            ErrorKind::CrossesDevices
        );
    });
}

#[test]
fn directories_are_renamed_as_posix_says() {
    on_every_world(|world| {
        write(&*world.store("full"), &A, b"");
        world.store("empty");
        write(&*world.fs.open_dir(&world.dir).unwrap(), &A, b"");
        assert_eq!(
            kind_of(world.rename("empty", "full")),
            ErrorKind::DirectoryNotEmpty
        );
        assert_eq!(kind_of(world.rename("full", "a")), ErrorKind::NotADirectory);
        assert_eq!(kind_of(world.rename("a", "full")), ErrorKind::IsADirectory);
        let replaced = world.open("empty");
        world.rename("full", "empty").unwrap();
        assert!(!replaced.is_linked().unwrap());
        assert_eq!(listed(&*world.open("empty")), ["a"]);
        world.rename("empty", "full").unwrap();
        assert_eq!(names(&*world.fs, &world.dir), ["a", "full"]);
    });
}

#[test]
fn the_directory_has_a_lock_of_its_own() {
    on_every_world(|world| {
        let (dir, again) = (world.store("s"), world.open("s"));
        let held = dir.lock_self().unwrap();
        for handle in [&dir, &again] {
            assert_eq!(kind_of(handle.lock_self()), ErrorKind::WouldBlock);
        }
        // The locks of the directory and of a file in it are apart.
        let file = again.lock(&LOCK).unwrap();
        assert_eq!(kind_of(dir.lock(&LOCK)), ErrorKind::WouldBlock);
        drop(held);
        let held = again.lock_self().unwrap();
        // A lock moves with its directory, and a lock's file that is removed locks nobody out.
        dir.unlink(&LOCK).unwrap();
        world.rename("s", "moved").unwrap();
        drop(world.open("moved").lock(&LOCK).unwrap());
        assert_eq!(
            kind_of(world.open("moved").lock_self()),
            ErrorKind::WouldBlock
        );
        drop((held, file));
        drop(dir.lock_self().unwrap());
    });
}

#[test]
fn directories_are_created_with_their_ancestors() {
    on_every_world(|world| {
        let create = |path: &Path| create_dir_all_synced(&*world.fs, path);
        create(&world.at("x/y/z")).unwrap();
        create(&world.at("x/y/z")).unwrap();
        create(&world.at("x/../v/./w")).unwrap();
        assert_eq!(names(&*world.fs, &world.dir), ["v", "x"]);
        assert_eq!(listed(&*world.open("x/y")), ["z"]);
        create(Path::new(".")).unwrap();
        create(Path::new("./.")).unwrap();
        let empty = create(Path::new("")).unwrap_err();
        assert_eq!(empty.source.kind(), ErrorKind::NotFound);
        assert_eq!(
            kind_of(world.fs.create_dir(Path::new(""))),
            ErrorKind::NotFound
        );
        assert_eq!(world.fs.kind(Path::new("")).unwrap(), None);
        assert_eq!(
            world.fs.kind(Path::new(".")).unwrap(),
            Some(EntryKind::Directory)
        );
    });
}
