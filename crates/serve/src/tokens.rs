//! [`Tokens`]: who may ask, by a secret in the header `authorization: Bearer TOKEN`.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use hyper::header::{AUTHORIZATION, HeaderMap};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};
use crate::names::is_name;
use crate::refusal::Refusal;

/// The longest file of tokens.
const FILE_BYTES: u64 = 1 << 20;

/// The shortest token: a shorter one can be guessed.
const SHORTEST: usize = 16;

/// What a client that gave no token is asked for.
const CHALLENGE: &str = "Bearer realm=\"pleiad\"";

/// What a client that gave a wrong one hears.
const INVALID: &str = "Bearer realm=\"pleiad\", error=\"invalid_token\"";

/// The tokens that a server takes.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    name: String,
    secret: Box<[u8]>,
}

/// A secret is never printed.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").field(&self.name).finish()
    }
}

impl Tokens {
    /// Reads a file with a token a line, `TOKEN` or `NAME=TOKEN`. Empty lines and lines that begin with `#` are left out. A token
    /// without a name is called by its line: `line 3`. A name may have several tokens, so that one can replace another.
    ///
    /// # Errors
    /// [`Error::Tokens`] for a file that cannot be read, holds no token, or a line that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let refuse = |line: Option<usize>, reason: String| Error::Tokens { path: path.to_owned(), line, reason };
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_string(&mut text));
        read.map_err(|error| refuse(None, error.to_string()))?;
        if text.len() as u64 > FILE_BYTES {
            return Err(refuse(
                None,
                format!("it is longer than {FILE_BYTES} bytes; give a file of tokens, one a line"),
            ));
        }
        let mut tokens: Vec<Token> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let token = Token::parse(line, number).map_err(|reason| refuse(Some(number), reason))?;
            if tokens.iter().any(|other| other.secret == token.secret) {
                return Err(refuse(Some(number), "the token stands twice; give it once".to_owned()));
            }
            tokens.push(token);
        }
        match tokens.is_empty() {
            true => Err(refuse(None, "it holds no token; write one a line, TOKEN or NAME=TOKEN".to_owned())),
            false => Ok(Self(tokens)),
        }
    }

    /// Whether there are none, so that everybody may ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of who asks; `None` where no token is needed.
    pub(crate) fn who(&self, headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let advice = "send the header `authorization: Bearer TOKEN` with a token of the server's --token-file";
        let (Some(value), None) = (given.next(), given.next()) else {
            let message = "the request has no token, or more than one";
            return Err(Refusal::new(401, "no_token", message, advice).challenging(CHALLENGE));
        };
        let bearer = value.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let secret = bearer.map_or(&[][..], |(_, secret)| secret.trim_ascii());
        // Every token is compared, each in a time that depends on its length alone.
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.secret.as_ref().ct_eq(secret)) {
                found = Some(token.name.as_str());
            }
        }
        match found {
            Some(name) => Ok(Some(name)),
            None => {
                let message = "the token is none that this server takes";
                Err(Refusal::new(401, "wrong_token", message, advice).challenging(INVALID))
            }
        }
    }
}

impl Token {
    fn parse(line: &str, number: usize) -> Result<Self, String> {
        // A token may end with `=`, as base64 does; what stands before is no name then.
        let (name, secret) = match line.split_once('=') {
            Some((name, rest)) if !rest.trim_start_matches('=').is_empty() => (Some(name.trim()), rest.trim()),
            _ => (None, line),
        };
        if let Some(name) = name.filter(|name| !is_name(name)) {
            return Err(format!("the name {name:?} has other characters than letters, digits, -, _ and ."));
        }
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || "-._~+/".contains(char);
        if !secret.trim_end_matches('=').chars().all(is_allowed) {
            return Err("a token has letters, digits, -, ., _, ~, + and /, and = at its end alone".to_owned());
        }
        if secret.len() < SHORTEST {
            return Err(format!(
                "a token of {} characters can be guessed; take {SHORTEST} or more, such as `openssl rand -hex 32` prints",
                secret.len()
            ));
        }
        let name = name.map_or_else(|| format!("line {number}"), str::to_owned);
        Ok(Self { name, secret: secret.as_bytes().into() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const ONE: &str = "0123456789abcdef";

    fn parsed(line: &str) -> Result<(String, String), String> {
        Token::parse(line, 7).map(|token| (token.name, String::from_utf8(token.secret.into()).unwrap()))
    }

    #[test]
    fn a_line_is_a_token_or_a_name_and_a_token() {
        assert_eq!(parsed(ONE).unwrap(), ("line 7".to_owned(), ONE.to_owned()));
        assert_eq!(parsed(&format!("app = {ONE}")).unwrap(), ("app".to_owned(), ONE.to_owned()));
        // Of base64, with and without a name.
        for end in ["=", "=="] {
            let secret = format!("{ONE}{end}");
            assert_eq!(parsed(&secret).unwrap(), ("line 7".to_owned(), secret.clone()));
            assert_eq!(parsed(&format!("app={secret}")).unwrap(), ("app".to_owned(), secret));
        }
        for (line, says) in [
            ("short", "can be guessed"),
            ("app=short", "can be guessed"),
            ("a b=0123456789abcdef", "the name \"a b\""),
            ("0123456789 abcdef", "a token has letters"),
            ("app=0123=456789abcdef", "a token has letters"),
            ("0123456789abcdé", "a token has letters"),
        ] {
            let reason = parsed(line).unwrap_err();
            assert!(reason.contains(says), "{line}: {reason}");
        }
    }

    #[test]
    fn a_request_needs_one_of_the_tokens() {
        let other = "fedcba9876543210-";
        let tokens = Tokens(
            [("a", ONE), ("b", other)]
                .map(|(name, secret)| Token::parse(&format!("{name}={secret}"), 1).unwrap())
                .into(),
        );
        let ask = |values: &[&str]| {
            let value = |text: &&str| (AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            let who = tokens.who(&values.iter().map(value).collect());
            who.map(Option::unwrap).map_err(|refusal| (refusal.status, refusal.code, refusal.challenge))
        };
        assert_eq!(ask(&[&format!("Bearer {ONE}")]), Ok("a"));
        assert_eq!(ask(&[&format!("bearer  {other}")]), Ok("b"));
        assert_eq!(ask(&[]), Err((401, "no_token", Some(CHALLENGE))));
        let twice = format!("Bearer {ONE}");
        assert_eq!(ask(&[&twice, &twice]), Err((401, "no_token", Some(CHALLENGE))));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            ONE,
            "Basic 0123456789abcdef",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdefg",
        ] {
            assert_eq!(ask(&[wrong]), Err((401, "wrong_token", Some(INVALID))), "{wrong}");
        }
        assert!(Tokens::default().who(&HeaderMap::new()).unwrap().is_none());
        assert!(!format!("{tokens:?}").contains(ONE));
    }
}
