//! The real binary, run in a folder of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A folder that the program is run in.
pub struct Folder(tempfile::TempDir);

/// What came of a run of the program.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// A plan file of `orders` orders; `rest` is its tail.
    pub fn plan(&self, name: &str, orders: u32, rest: &str) {
        let head = format!("version = 1\nname = \"{name}\"\nwhy = \"A test.\"\n");
        let workload = format!("[workload]\norders = {orders}\nover = \"1s\"\n");
        self.write(&format!("{name}.toml"), &format!("{head}{workload}{rest}"));
    }

    /// Runs `drill`; `line` is split at spaces.
    pub fn drill(&self, line: &str) -> Ran {
        let mut child = self.start(line);
        // A child ends with its standard input, which waiting closes.
        let stdin = child.stdin.take();
        let done = child.wait_with_output().unwrap();
        drop(stdin);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = done.status.code().expect("no signal ended it");
        Ran { code, out: text(done.stdout), err: text(done.stderr) }
    }

    /// Starts `drill`, which ends with the test, however that ends.
    pub fn start(&self, line: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_drill"))
            .arg("__held")
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Ran {
    /// Ends the test unless the exit code is `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// All of standard output, as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// The first line of standard output, if it is the command that runs it again.
    #[track_caller]
    pub fn again(&self) -> String {
        let first = self.out.lines().next().unwrap_or_default();
        let command = first.strip_prefix("cargo drill ");
        command.unwrap_or_else(|| panic!("no command first: {}", self.out)).to_owned()
    }
}
