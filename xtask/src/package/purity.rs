//! Decides which template functions a chart may not call: those whose result depends on a cluster,
//! on chance, on time or on the network. Knows nothing of what is rendered.

/// Functions of Helm and of its library whose result does not follow from their arguments.
const IMPURE: &[&str] = &[
    "ago",
    "bcrypt",
    "date",
    "dateInZone",
    "date_in_zone",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "getHostByName",
    "htmlDate",
    "htmlDateInZone",
    "htpasswd",
    "lookup",
    "now",
    "randAlpha",
    "randAlphaNum",
    "randAscii",
    "randBytes",
    "randInt",
    "randNumeric",
    "shuffle",
    "uuidv4",
];

/// The first such function that a template calls.
pub(super) fn impure_word(template: &str) -> Option<&'static str> {
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        rest = &rest[start + 2..];
        if let Some(end) = comment(rest) {
            rest = &rest[end..];
            continue;
        }
        let (action, after) = action(rest);
        if let Some(word) = words(&action).find_map(|w| IMPURE.iter().find(|i| **i == w)) {
            return Some(word);
        }
        rest = after;
    }
    None
}

/// Where a comment ends, if the action is one.
fn comment(rest: &str) -> Option<usize> {
    let trimmed = rest.strip_prefix('-').unwrap_or(rest).trim_start();
    trimmed.starts_with("/*").then(|| rest.find("*/").map_or(rest.len(), |end| end + 2))
}

/// The action without its texts, and what follows it.
fn action(rest: &str) -> (String, &str) {
    let mut code = String::new();
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => {
                quote = Some(c);
                code.push(' ');
            }
            None if rest[at..].starts_with("}}") => return (code, &rest[at + 2..]),
            None => code.push(c),
        }
    }
    (code, "")
}

/// Words that may be calls: neither fields nor variables.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '$')))
        .filter(|word| !word.contains(['.', '$']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_wherever_they_stand() {
        for (template, word) in [
            ("{{ now }}", "now"),
            ("x\n{{- if eq (randAlphaNum 5) \"a\" }}", "randAlphaNum"),
            ("{{ .Values.a | default (lookup \"v1\" \"Pod\" \"\" \"\") }}", "lookup"),
            ("{{/* {{ */}} {{ uuidv4 }}", "uuidv4"),
            ("{{ \"\\\"\" | htpasswd `}}` }}", "htpasswd"),
        ] {
            assert_eq!(impure_word(template), Some(word), "{template}");
        }
    }

    #[test]
    fn texts_fields_variables_and_comments_are_no_calls() {
        for template in [
            "now: {{ .Values.now }}",
            "{{ $date := 1 }}{{ $date }}",
            "{{ printf \"lookup now\" }}",
            "{{- /* now */ -}}",
            "lookup now shuffle",
            "{{ include \"a.lookup\" . | sha256sum }}",
            "{{ toYaml .Values.lookup }}",
        ] {
            assert_eq!(impure_word(template), None, "{template}");
        }
    }
}
