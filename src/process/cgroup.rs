//! What the path of a control group tells: container, runtime, systemd unit, Kubernetes pod.

/// What runs in a control group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The path below the hierarchy's root, `/system.slice/nginx.service`.
    pub(super) path: String,
    /// The identifier of the container.
    pub(super) container: Option<String>,
    /// `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `systemd-nspawn`; none where the path does not tell.
    pub(super) runtime: Option<&'static str>,
    /// The systemd unit: a service, or the scope of a session or program.
    pub(super) unit: Option<String>,
    /// The UID of the Kubernetes pod.
    pub(super) pod: Option<String>,
}

/// What begins the scope of a container, and whose it is.
const SCOPES: [(&str, &str); 7] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-payload-", "podman"),
    ("libpod-", "podman"),
    ("lxc.payload.", "lxc"),
];
/// A folder with containers in it, and whose it is.
const FOLDERS: [(&str, &str); 6] = [
    ("docker", "docker"),
    ("k8s.io", "containerd"),
    ("default", "containerd"),
    ("libpod_parent", "podman"),
    ("lxc.payload", "lxc"),
    ("lxc", "lxc"),
];

/// The place that `/proc/PID/cgroup` tells (`cgroups(7)`): of version 2, else of systemd's hierarchy, else of any that
/// is not the root.
pub(super) fn of_process(text: &str) -> Place {
    let mut best: Option<(u8, &str)> = None;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let rank = match (number, controllers) {
            _ if path == "/" => 0,
            ("0", "") => 3,
            (_, "name=systemd") => 2,
            _ => 1,
        };
        if best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, path));
        }
    }
    place(best.map_or("/", |(_, path)| path))
}

/// What a path tells.
pub(super) fn place(path: &str) -> Place {
    let mut found = Place { path: path.to_owned(), ..Place::default() };
    let mut before = "";
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        found.pod = pod(segment).or(found.pod);
        let scope = segment.strip_suffix(".scope").unwrap_or(segment);
        let scoped = SCOPES.iter().find_map(|(start, runtime)| Some((scope.strip_prefix(start)?, *runtime)));
        if let Some((id, runtime)) = scoped
            && (runtime == "lxc" || is_id(id))
        {
            found.container = Some(id.to_owned());
            found.runtime = Some(runtime);
            found.unit = None;
        } else if let Some(machine) = segment.strip_prefix("systemd-nspawn@") {
            found.container = Some(machine.trim_end_matches(".service").to_owned());
            found.runtime = Some("systemd-nspawn");
        } else if is_id(segment) {
            let runtime = FOLDERS.iter().find(|(folder, _)| *folder == before).map(|(_, runtime)| *runtime);
            found.container = Some(segment.to_owned());
            found.runtime = runtime.or(found.runtime);
            found.unit = None;
        } else if before == "lxc" || before == "lxc.payload" {
            found.container = Some(segment.to_owned());
            found.runtime = Some("lxc");
        } else if segment.ends_with(".service") || segment.ends_with(".scope") {
            found.unit = Some(segment.to_owned());
        }
        before = segment;
    }
    found
}

/// What containers are named by: 64 hexadecimal digits; those of AWS ECS have 32 and a number behind them.
fn is_id(text: &str) -> bool {
    let (head, rest) = text.split_once('-').unwrap_or((text, ""));
    head.bytes().all(|byte| byte.is_ascii_hexdigit())
        && match head.len() {
            64 => rest.is_empty(),
            32 => !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        }
}

/// `pod1234-…` and `kubepods-burstable-pod1234_….slice`: the UID.
fn pod(segment: &str) -> Option<String> {
    let name = segment.strip_suffix(".slice").unwrap_or(segment);
    let at = if name.starts_with("kubepods") {
        name.rfind("-pod")? + 4
    } else {
        name.strip_prefix("pod").map(|_| 3)?
    };
    let id = name.get(at..)?.replace('_', "-");
    let is_uid = id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uid.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1cf5d4a2b7e0c98d3a6b5c4f1cf5d4a2b7e0c98d3a6b5c4f1cf5d4a2b7e0c9";
    const POD: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

    #[test]
    fn paths_of_every_runtime_tell_the_container() {
        let under = POD.replace('-', "_");
        for (path, container, runtime, unit, pod) in [
            ("/".to_owned(), None, None, None, None),
            ("/system.slice/nginx.service".into(), None, None, Some("nginx.service"), None),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/api.service".into(),
                None,
                None,
                Some("api.service"),
                None,
            ),
            ("/user.slice/user-1000.slice/session-3.scope".into(), None, None, Some("session-3.scope"), None),
            (format!("/docker/{ID}"), Some(ID), Some("docker"), None, None),
            (format!("/system.slice/docker-{ID}.scope"), Some(ID), Some("docker"), None, None),
            (format!("/machine.slice/libpod-{ID}.scope/container"), Some(ID), Some("podman"), None, None),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
                Some(ID),
                Some("podman"),
                None,
                None,
            ),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{ID}.scope"
                ),
                Some(ID),
                Some("containerd"),
                None,
                Some(POD),
            ),
            (format!("/kubepods/besteffort/pod{POD}/{ID}"), Some(ID), None, None, Some(POD)),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{ID}.scope"),
                Some(ID),
                Some("cri-o"),
                None,
                Some(POD),
            ),
            ("/lxc.payload.web1/init.scope".into(), Some("web1"), Some("lxc"), Some("init.scope"), None),
            ("/lxc/web1".into(), Some("web1"), Some("lxc"), None, None),
            (
                "/machine.slice/systemd-nspawn@deb.service/payload".into(),
                Some("deb"),
                Some("systemd-nspawn"),
                None,
                None,
            ),
            (
                "/ecs/task/0123456789abcdef0123456789abcdef-1234567890".into(),
                Some("0123456789abcdef0123456789abcdef-1234567890"),
                None,
                None,
                None,
            ),
            ("/system.slice/docker-nothex.scope".into(), None, None, Some("docker-nothex.scope"), None),
            ("/podcast/pod-1".into(), None, None, None, None),
        ] {
            let found = place(&path);
            assert_eq!(found.container.as_deref(), container, "{path}");
            assert_eq!(found.runtime, runtime, "{path}");
            assert_eq!(found.unit.as_deref(), unit, "{path}");
            assert_eq!(found.pod.as_deref(), pod, "{path}");
        }
    }

    #[test]
    fn the_hierarchy_that_says_most_is_read() {
        for (text, path) in [
            ("0::/system.slice/a.service\n", "/system.slice/a.service"),
            ("5:memory:/docker/x\n1:name=systemd:/b.scope\n0::/\n", "/b.scope"),
            ("5:memory:/docker/x\n1:name=systemd:/\n0::/\n", "/docker/x"),
            ("0::/a:b\n", "/a:b"),
            ("", "/"),
            ("nonsense", "/"),
        ] {
            assert_eq!(of_process(text).path, path, "{text}");
        }
    }
}
