//! A program in free MPS, for other solvers to read.

use std::fmt::Write as _;

use plimsoll_domain::problem::{Problem, Quantity, Sense};

/// What the column counts, as the first letter of its name.
fn letter(quantity: Quantity) -> char {
    match quantity {
        Quantity::Replicas { .. } => 'x',
        Quantity::Nodes { .. } => 'n',
        Quantity::Choice { .. } => 'y',
        Quantity::Leaving { .. } => 'o',
        Quantity::Moved { .. } => 'm',
        Quantity::Drained { .. } => 'd',
        Quantity::Unplaced { .. } => 'u',
        Quantity::SpreadFloor { .. } => 'f',
        Quantity::Gang { .. } => 'g',
    }
}

/// The program as text; columns are a letter for what they count and their number in the program's order, e.g. `x0`, and
/// rows `r0`, `r1`, ….
pub(crate) fn mps(problem: &Problem) -> String {
    let mut text = String::from("NAME joint\nROWS\n N cost\n");
    let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); problem.variables.len()];
    for (number, row) in problem.constraints.iter().enumerate() {
        let sense = match row.sense {
            Sense::AtMost => 'L',
            Sense::AtLeast => 'G',
            Sense::Equal => 'E',
        };
        let _ = writeln!(text, " {sense} r{number}");
        for (column, amount) in &row.terms {
            columns[*column].push((number, *amount));
        }
    }
    text.push_str("COLUMNS\n");
    let names: Vec<String> =
        problem.variables.iter().enumerate().map(|(number, v)| format!("{}{number}", letter(v.quantity))).collect();
    let mut whole = false;
    for (number, (variable, terms)) in problem.variables.iter().zip(columns).enumerate() {
        if variable.integer != whole {
            whole = variable.integer;
            let _ = writeln!(text, " M{number} 'MARKER' {}", if whole { "'INTORG'" } else { "'INTEND'" });
        }
        let name = &names[number];
        let _ = writeln!(text, " {name} cost {}", variable.cost);
        for (row, amount) in terms {
            let _ = writeln!(text, " {name} r{row} {amount}");
        }
    }
    if whole {
        text.push_str(" MEND 'MARKER' 'INTEND'\n");
    }
    let _ = writeln!(text, "RHS\n rhs cost {}", -problem.constant);
    for (number, row) in problem.constraints.iter().enumerate().filter(|(_, row)| row.right != 0.0) {
        let _ = writeln!(text, " rhs r{number} {}", row.right);
    }
    text.push_str("BOUNDS\n");
    for (name, variable) in names.iter().zip(&problem.variables) {
        let _ = writeln!(text, " LO bound {name} {}\n UP bound {name} {}", variable.lower, variable.upper);
    }
    text.push_str("ENDATA\n");
    text
}
