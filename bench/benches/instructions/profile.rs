//! A profile as callgrind writes it, summed up by function.

use std::collections::HashMap;

/// What one function took, in instructions, and how often it was called.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    /// In itself.
    pub own: u64,
    /// With everything that it called.
    pub all: u64,
    pub calls: u64,
}

/// Functions by name, the dearest in themselves first. Not meant for recursion, which the engine has little of.
pub fn by_function(profile: &str) -> Vec<(String, Cost)> {
    let mut names = Names::default();
    let mut costs: HashMap<String, Cost> = HashMap::new();
    let (mut function, mut callee, mut is_call) = (String::new(), String::new(), false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = names.of(name);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = names.of(name);
        } else if let Some(rest) = line.strip_prefix("calls=") {
            let calls = rest.split(' ').next().and_then(|count| count.parse().ok());
            costs.entry(callee.clone()).or_default().calls += calls.unwrap_or(0);
            is_call = true;
        } else if let Some(count) = instructions(line) {
            let cost = costs.entry(function.clone()).or_default();
            if !is_call {
                cost.own += count;
            }
            if !is_call || callee != function {
                cost.all += count;
            }
            is_call = false;
        }
    }
    let mut costs: Vec<_> = costs.into_iter().filter(|(_, cost)| cost.own > 0).collect();
    costs.sort_by(|(one, a), (other, b)| b.own.cmp(&a.own).then_with(|| one.cmp(other)));
    costs
}

/// Of a line `position instructions`; positions may be relative: `+3`, `-3`, `*`.
fn instructions(line: &str) -> Option<u64> {
    let (position, count) = line.split_once(' ')?;
    let is_position =
        position == "*" || position.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit());
    if is_position { count.parse().ok() } else { None }
}

/// Names are spelled once, `(7) name`, and then referred to, `(7)`.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn of(&mut self, text: &str) -> String {
        match text.split_once(") ") {
            Some((number, name)) => {
                self.0.insert(number.to_owned(), name.to_owned());
                name.to_owned()
            }
            None => self.0.get(text.trim_end_matches(')')).cloned().unwrap_or_else(|| text.to_owned()),
        }
    }
}
