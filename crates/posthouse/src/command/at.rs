//! Which node is asked: the place of its admin socket.

use super::failure::Failure;
use crate::config::{Config, SYSTEM_CONFIG};
use std::path::{Path, PathBuf};

/// Which node is asked; without either, the usual places are tried.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    /// The node's configuration file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Node")]
    config: Option<PathBuf>,
    /// The folder of a quickstart site, or a node's data folder.
    #[arg(long, global = true, value_name = "D", help_heading = "Node")]
    dir: Option<PathBuf>,
}

/// Where to look, and what to tell if nobody is there.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) paths: Vec<PathBuf>,
    hint: String,
    /// The file that was named.
    file: Option<PathBuf>,
}

impl Sockets {
    /// What may help where nobody answers: the mistakes in the file, since the socket may be named there, or how to start a node.
    pub(super) fn hint(&self) -> String {
        match self.file.as_deref().map(Config::load) {
            Some(Err(problems)) => problems.to_string().trim_end().to_owned(),
            Some(Ok(_)) | None => self.hint.clone(),
        }
    }
}

impl At {
    pub(super) fn sockets(&self) -> Result<Sockets, Failure> {
        match (&self.config, &self.dir) {
            (Some(_), Some(_)) => Err(Failure::usage("--config and --dir name two nodes: give one of them")),
            (Some(file), None) => {
                let hint = format!("start one with `posthouse serve --config {}`", file.display());
                Ok(Sockets { paths: vec![of_config(file)?], hint, file: Some(file.clone()) })
            }
            (None, Some(dir)) => {
                let hint = format!("start one with `posthouse quickstart --dir {}`", dir.display());
                Ok(Sockets { paths: vec![of_dir(dir)?], hint, file: None })
            }
            (None, None) => usual(),
        }
    }
}

/// The socket of a quickstart site, or the one that is beside a node's data.
pub(super) fn of_dir(dir: &Path) -> Result<PathBuf, Failure> {
    let config = dir.join(CONFIG_FILE);
    match config.exists() {
        true => of_config(&config),
        false => Ok(dir.join(SOCKET_FILE)),
    }
}

/// The configuration decides. Mistakes elsewhere in it are for those who start the node, or have it read the file again.
fn of_config(file: &Path) -> Result<PathBuf, Failure> {
    Config::socket(file).map_err(|problems| Failure::usage(format!("{problems}").trim_end().to_owned()))
}

fn usual() -> Result<Sockets, Failure> {
    let hint = "start one with `posthouse quickstart`, or say where it is with --dir D or --config FILE".to_owned();
    let mut paths = vec![of_dir(Path::new(QUICKSTART_DIR))?];
    let config = Path::new(SYSTEM_CONFIG);
    paths.push(if config.exists() { of_config(config)? } else { Path::new(SYSTEM_DATA).join(SOCKET_FILE) });
    Ok(Sockets { paths, hint, file: None })
}

const SOCKET_FILE: &str = "admin.sock";
const CONFIG_FILE: &str = "posthouse.toml";
const QUICKSTART_DIR: &str = "posthouse-quickstart";
const SYSTEM_DATA: &str = "/var/lib/posthouse";

#[cfg(test)]
mod tests {
    use super::*;

    /// The socket that a file names, below its folder, or the complaint.
    fn named(text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("posthouse.toml");
        std::fs::write(&file, text).expect("written");
        let below = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        let found = of_config(&file).map(|path| below(path.display().to_string()));
        found.map_err(|failure| below(failure.to_string()))
    }

    #[test]
    fn mistakes_elsewhere_keep_nobody_from_asking() {
        let node = "[node]\ndata = 'data'\n";
        for mistake in [
            "",
            "[proxy]\nimap = 'nowhere'\nclient_revocations = 'gone.pem'\n",
            "[tls]\ncertificate = 'gone.pem'\n",
            "[relay\nlisten = 7\n",
            "[[store]]\nname = '?'\n",
        ] {
            assert_eq!(named(&format!("{node}{mistake}")).as_deref(), Ok("data/admin.sock"), "{mistake}");
            let told = format!("{node}[admin]\nmetrics = 'x'\nsocket = 'run/s'\n{mistake}");
            assert_eq!(named(&told).as_deref(), Ok("run/s"), "{mistake}");
        }
    }

    #[test]
    fn a_file_that_nobody_can_read_may_name_another_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("posthouse.toml");
        std::fs::write(&file, "[node]\ndata = 'data'\n").expect("written");
        // A folder in a file's place: root could read a file without permissions.
        std::fs::create_dir_all(folder.path().join("conf.d/other.toml")).expect("made");
        let said = of_config(&file).expect_err("nobody knows").to_string();
        assert!(said.contains("other.toml") && said.contains("cannot be read"), "{said}");
    }

    #[test]
    fn who_finds_no_node_hears_of_mistakes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("posthouse.toml");
        std::fs::write(&file, "[node]\ndata = 'data'\n[admn]\nsocket = 's'\n").expect("written");
        let sockets = At { config: Some(file), dir: None }.sockets().expect("a guess");
        assert!(sockets.hint().contains("admn"), "{}", sockets.hint());
    }

    #[test]
    fn a_mistake_in_the_socket_itself_is_told() {
        for (text, why) in [
            ("[node]\nname = 'one'\n", "posthouse.toml:1:2: node.data: is missing"),
            ("[node]\ndata = 7\n", "posthouse.toml:2:8: node.data: is a number, must be text"),
            ("[node]\ndata = 'data'\n[admin]\nsocket = 7\n", "admin.socket: is a number, must be text"),
        ] {
            let said = named(text).expect_err("no socket");
            assert!(said.contains(why), "{said}");
        }
    }
}
