//! Traces and pages as servers send them, and texts that only speak of them.

use super::*;

fn details(find: fn(&[u8], &mut Vec<Page>), text: &str) -> Vec<String> {
    let mut pages = Vec::new();
    find(text.as_bytes(), &mut pages);
    for page in &pages {
        assert!(text.get(page.range.clone()).is_some(), "{page:?}");
    }
    pages.into_iter().map(|page| page.detail).collect()
}

const FLASK: &str = r#"Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/flask/app.py", line 1498, in __call__
    return self.wsgi_app(environ, start_response)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/app.py", line 12, in index
    uri = os.environ["MONGO_URI"]
  File "<frozen os>", line 679, in __getitem__
KeyError: 'MONGO_URI'
"#;
const FLASK_DETAIL: &str = "KeyError: 'MONGO_URI' at app.py:12 in index (Flask)";

#[test]
fn a_trace_of_python_is_known_in_every_dress() {
    let escaped = FLASK.replace('"', "\\\"").replace('\n', "\\n");
    let html = FLASK.replace('"', "&#34;").replace('\'', "&#39;").replace('<', "&lt;").replace('>', "&gt;");
    let breaks = html.replace('\n', "<br/>\n").replace("  ", "&nbsp;&nbsp;");
    for (name, text) in [
        ("plain", FLASK.to_owned()),
        ("windows", FLASK.replace('\n', "\r\n")),
        ("behind text", format!("500: failed\n\n{FLASK}\n-- end")),
        ("json", format!(r#"{{"error":"{escaped}","code":500}}"#)),
        (
            "json, without the last line end",
            format!(r#"{{"error":"{}"}}"#, escaped.strip_suffix("\\n").unwrap()),
        ),
        ("json in json", format!(r#"{{"e":"{}"}}"#, escaped.replace('\\', "\\\\"))),
        ("escaped windows", FLASK.replace('"', "\\\"").replace('\n', "\\r\\n")),
        ("repr", format!("b'{}'", FLASK.replace('\n', "\\n"))),
        ("pre", format!("<pre>{html}</pre>")),
        ("pre, no line end", format!("<pre>{}</pre>", html.trim_end())),
        ("breaks", breaks),
        ("comment", format!("<!--\n\n{FLASK}\n-->")),
        ("indented", FLASK.lines().map(|line| format!("    {line}\n")).collect()),
    ] {
        assert_eq!(details(python, &text), [FLASK_DETAIL], "{name}: {text}");
    }
}

#[test]
fn variants_of_traces() {
    for (text, expected) in [
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1\n    x = = 1\n        ^\nSyntaxError: invalid syntax\n",
            &["SyntaxError: invalid syntax at a.py:1"][..],
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    f()\n  [Previous line repeated 995 more times]\nRecursionError\n",
            &["RecursionError at a.py:3 in <module>"],
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    f()\n",
            &["stack trace at a.py:3 in f"],
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\npymongo.errors.OperationFailure: bad auth\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 4, in g\nRuntimeError: no database\n",
            &["RuntimeError: no database at b.py:4 in g"],
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nValueError: a\n\nlater\n\nTraceback (most recent call last):\n  File \"b.py\", line 4, in g\nValueError: b\n",
            &["ValueError: a at a.py:3 in f", "ValueError: b at b.py:4 in g"],
        ),
    ] {
        assert_eq!(details(python, text), expected, "{text}");
    }
}

#[test]
fn speaking_of_traces_is_none() {
    for text in [
        "Traceback (most recent call last):",
        "Python prints Traceback (most recent call last): and then the frames.",
        "Traceback (most recent call last):\n",
        "Traceback (most recent call last):\n  ...\nKeyError: 'x'\n",
        "Traceback (most recent call last):\nKeyError: 'x'\n",
        "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    f()\nand this is how it looks, said the book\nwhich goes on.\n",
        "File \"a.py\", line 3, in f\nKeyError: 'x'\n",
    ] {
        assert!(details(python, text).is_empty(), "{text}");
    }
}

#[test]
fn werkzeug_is_known_by_its_settings() {
    let script = "var CONSOLE_MODE = false,\n    EVALEX = true,\n    EVALEX_TRUSTED = false,\n    SECRET = \"mAdEuPfOrTeSt\";";
    let page = format!(
        "<html><head><title>KeyError: 'DB' // Werkzeug Debugger</title>\n<script src=\"?__debugger__=yes&amp;cmd=resource\"></script><script>{script}</script>"
    );
    assert_eq!(details(werkzeug, &page), ["KeyError: 'DB' (Werkzeug, debug)"]);
    assert_eq!(details(werkzeug, script), ["Werkzeug debugger"]);
    for text in ["EVALEX is a setting of Werkzeug", "EVALEX = true", "SECRET = \"x\"; EVALEX", "__debugger__"]
    {
        assert!(details(werkzeug, text).is_empty(), "{text}");
    }
}

#[test]
fn django_is_known_by_its_table() {
    let html = "<table><tr><th scope=\"row\">Request Method:</th>\n<td>GET</td></tr><tr><th>Django Version:</th>\n<td>5.1</td></tr>\
                <tr><th>Exception Type:</th>\n<td>KeyError</td></tr><tr><th>Exception Value:</th>\n<td><pre>&#x27;DB_URL&#x27;</pre></td></tr></table>";
    assert_eq!(details(django, html), ["KeyError: 'DB_URL' (Django 5.1, debug)"]);
    let text = "KeyError at /x\n'DB_URL'\n\nRequest Method: GET\nRequest URL: http://a/x\nDjango Version: 5.1\n\nException Type: KeyError at /x\nException Value: 'DB_URL'\n";
    assert_eq!(details(django, text), ["KeyError: 'DB_URL' (Django 5.1, debug)"]);
    for text in ["Django Version: 5.1", "Request Method: and Exception Type: are shown", ""] {
        assert!(details(django, text).is_empty(), "{text}");
    }
}

/// Thousands of headers, each deeper than the one before: every one looks into those behind it.
#[test]
fn many_broken_traces_cost_little() {
    let mut text = String::new();
    for depth in 0..2000 {
        text.push_str(&format!(
            "{}Traceback (most recent call last):\n{}File \"a\", line 1\n",
            " ".repeat(depth),
            " ".repeat(depth + 2)
        ));
    }
    text.push_str("!\n");
    let begin = std::time::Instant::now();
    python(text.as_bytes(), &mut Vec::new());
    assert!(begin.elapsed().as_secs() < 5);
}
