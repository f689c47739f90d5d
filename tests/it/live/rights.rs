//! What is said without the right to capture, and of what is wrong before anything is captured.

use std::process::Command;

use super::net::Net;

#[test]
fn without_rights_the_one_command_that_helps_is_said() {
    let Some(net) = Net::new() else { return };
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("skipped: setpriv is not installed");
        return;
    }
    for way in super::ways() {
        let (right, words) = if way == "ebpf" {
            let caps = "--cap-add BPF --cap-add PERFMON --cap-add NET_ADMIN --cap-add NET_RAW";
            (
                "-net_admin,-sys_admin",
                format!(
                    "the kernel takes no program from this process; root lacks it in this container: start it with `{caps}`"
                ),
            )
        } else {
            let words = "this process lacks CAP_NET_RAW; root lacks it in this container: start it with `--cap-add NET_RAW`";
            ("-net_raw", words.to_owned())
        };
        let mut command = net.command(0, "setpriv");
        command.args(["--bounding-set", right, env!("CARGO_BIN_EXE_leaktap")]);
        command.args(["capture", "-i", "lo", "--backend", way, "-q"]);
        let (code, events, said) = super::net::Running::start(command).ended();
        assert_eq!((code, events.len()), (2, 0), "{way}");
        assert_eq!(said, format!("leaktap: error: no right to capture on lo: {words}"), "{way}");
    }
    let mut command = net.command(0, "setpriv");
    command.args(["--bounding-set", "-net_raw", env!("CARGO_BIN_EXE_leaktap"), "doctor", "--format", "json"]);
    let (code, checks, _) = super::net::Running::start(command).ended();
    assert_eq!(code, 2);
    let rights =
        checks[0].as_array().unwrap().iter().find(|check| check["name"] == "rights").unwrap().clone();
    assert_eq!(rights["ok"], false);
    assert!(rights["mend"].as_str().unwrap().contains("NET_RAW"), "{rights}");
}

#[test]
fn the_doctor_and_the_list_of_interfaces_know_this_machine() {
    let Some(net) = Net::new() else { return };
    let (code, checks, _) = net.leaktap(0, &["doctor", "--format", "json"]).ended();
    assert_eq!(code, 0, "{checks:?}");
    let (code, list, _) = net.leaktap(0, &["interfaces", "--format", "json"]).ended();
    let likely: Vec<_> = list[0].as_array().unwrap().iter().filter(|one| one["likely"] == true).collect();
    assert_eq!((code, likely.len()), (0, 1));
    assert_eq!((&likely[0]["name"], &likely[0]["link"]), (&"va".into(), &"ethernet".into()));
}

#[test]
fn what_is_wrong_is_told_before_anything_is_captured() {
    let Some(net) = Net::new() else { return };
    for (arguments, words) in [
        (&["-i", "nosuch0"][..], "there is no such interface; there are: lo"),
        (&["-i", "lo", "--filter", "tcp prot 80"], "cannot use the filter"),
        (&["-i", "lo", "--fanout", "2", "--backend", "pcap"], "--fanout is the ring's"),
        (&["-i", "lo", "--rules", "none.toml"], "none.toml"),
        (&["-i", "lo", "--sink", "ndjson:/no/such/folder/x"], "cannot open the sink"),
    ] {
        let (code, events, said) = net.leaktap(0, &[&["capture"], arguments].concat()).ended();
        assert_eq!((code, events.len()), (2, 0), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
