//! A database URL, as it stands in the configuration of a service: no password in any output, and
//! nothing lost of what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sexton::db::{ConnectOptions, Target};

/// Stands in a password, and nowhere else.
const SECRET: &str = "s3cReT";

fuzz_target!(|text: &str| {
    any(text);
    let parts: Vec<_> = text.splitn(4, '\n').collect();
    if let [user, password, database, more] = parts[..] {
        encoded(user, password, database);
        raw(user, password, more);
    }
});

fn options(target: &Target) -> Option<&ConnectOptions> {
    match target {
        Target::Sqlite(_) => None,
        Target::Mysql(options) | Target::Postgres(options) => Some(options),
    }
}

/// What is shown of a server's database is one line, and reads as the same database again.
fn any(text: &str) {
    let target = match text.parse::<Target>() {
        Ok(target) => target,
        Err(error) => return assert!(!error.to_string().contains('\n')),
    };
    let shown = target.redacted();
    let Some(given) = options(&target) else {
        return;
    };
    assert_eq!(target.to_string(), shown);
    assert!(!shown.contains(char::is_control), "{shown:?}");
    let again: Target = shown.parse().unwrap_or_else(|e| panic!("{shown:?}: {e}"));
    assert!(again.same_database(&target), "{target:?} and {again:?}");
    let read = options(&again).expect("a server");
    assert_eq!(read.password, None, "{shown:?}");
    let named = |o: &ConnectOptions| o.user.clone().filter(|user| !user.is_empty());
    assert_eq!(named(read), named(given), "{shown:?}");
    let place = |o: &ConnectOptions| (o.host.clone(), o.port, o.socket.clone(), o.database.clone());
    assert_eq!(place(read), place(given), "{shown:?}");
}

/// What is percent-encoded comes back whole.
fn encoded(user: &str, password: &str, database: &str) {
    if user.is_empty() || database.is_empty() {
        return;
    }
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    for scheme in ["mysql+pymysql", "postgresql"] {
        let url = format!(
            "{scheme}://{}:{}@db.example:3333/{}",
            encode(user),
            encode(password),
            encode(database)
        );
        let target: Target = url.parse().unwrap_or_else(|e| panic!("{url}: {e}"));
        let read = options(&target).expect("a server");
        assert_eq!(read.user.as_deref(), Some(user));
        assert_eq!(read.password.as_deref(), Some(password));
        assert_eq!(read.database, database);
        assert_eq!((read.host.as_str(), read.port), ("db.example", 3333));
    }
}

/// A password with anything in it but `@` is one even unencoded, as SQLAlchemy has it, and nothing
/// shows it, whatever is wrong with the rest.
fn raw(user: &str, password: &str, rest: &str) {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if user.is_empty() || !user.chars().all(sound) || password.contains('@') {
        return;
    }
    let password = format!("{password}{SECRET}");
    let whole = format!("mysql://{user}:{password}@db.example/nova");
    let target: Target = whole.parse().unwrap_or_else(|e| panic!("{whole:?}: {e}"));
    let read = options(&target).expect("a server");
    let meant = percent_decode_str(&password).decode_utf8_lossy();
    assert_eq!(read.password.as_deref(), Some(&*meant), "{whole:?}");
    assert_eq!(target.redacted(), format!("mysql://{user}@db.example/nova"));
    assert!(!format!("{target:?}").contains(SECRET));

    // Another `@` may end the user too; without one nothing can.
    if !rest.contains('@') {
        for scheme in ["mysql", "postgresql", "oracle"] {
            let url = format!("{scheme}://{user}:{password}@{rest}");
            let said = match url.parse::<Target>() {
                Ok(target) => format!("{target} {target:?}"),
                Err(error) => error.to_string(),
            };
            assert!(!said.contains(SECRET), "{said:?} of {url:?}");
        }
    }
}
