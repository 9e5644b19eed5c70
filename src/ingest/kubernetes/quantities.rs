//! Kubernetes resource lists into [`Resources`], exactly.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::domain::Resources;
use crate::domain::quantity::parse_amount;

use super::object::FieldError;

/// The amounts of a resource list; names with an amount of zero are left out, which means the same.
///
/// # Errors
/// If an amount is no quantity, negative, or beyond 2⁶³; `path` is the list's place in the object.
pub(super) fn amounts(
    list: Option<&BTreeMap<String, Quantity>>,
    path: fmt::Arguments<'_>,
) -> Result<Resources, FieldError> {
    let mut resources = Resources::default();
    for (name, Quantity(text)) in list.into_iter().flatten() {
        let refuse = |problem: String| FieldError::new(format!("{path}.{name}"), problem);
        let amount = parse_amount(name, text).map_err(|e| refuse(e.to_string()))?;
        if amount < 0 {
            return Err(refuse(format!("is {text}, expected an amount of at least 0")));
        }
        if amount > 0 {
            resources.set(name, amount);
        }
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, text: &str) -> BTreeMap<String, Quantity> {
        BTreeMap::from([(name.to_owned(), Quantity(text.to_owned()))])
    }

    #[test]
    fn cpu_is_in_millicores_and_everything_else_in_units() {
        let read = |name, text| amounts(Some(&list(name, text)), format_args!("p")).unwrap();
        assert_eq!(read("cpu", "1500m").get("cpu"), 1500);
        assert_eq!(read("memory", "1.5Gi").get("memory"), 1_610_612_736);
        assert_eq!(read("nvidia.com/gpu", "2").get("nvidia.com/gpu"), 2);
        assert_eq!(read("cpu", "0"), Resources::default());
    }

    #[test]
    fn an_impossible_amount_names_its_field() {
        for (text, problem) in [
            ("-1", "is -1, expected an amount of at least 0"),
            ("lots", "invalid quantity \"lots\": expected a number with an optional suffix such as m, k, Mi or Gi"),
            ("1e30", "quantity \"1e30\" is too large"),
        ] {
            let error = amounts(Some(&list("cpu", text)), format_args!("spec.overhead")).unwrap_err();
            assert_eq!(error, FieldError::new("spec.overhead.cpu", problem));
        }
    }
}
