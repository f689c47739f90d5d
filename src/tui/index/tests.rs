//! The lists against a slow and obviously right model of them.

use super::*;
use crate::tui::example;
use crate::tui::news::Told;

/// A leak whose severity and secret go up and down in no simple order.
fn told(number: usize) -> Told {
    let mut leak = example::leak(number.wrapping_mul(7919) % 1000);
    leak.id = format!("{number:032x}");
    Told { leak, value: None, story: None }
}

fn check(index: &Index, store: &Store, filter: &Filter) {
    let passing: Vec<u64> =
        store.serials().filter(|&serial| filter.passes(store.get(serial).unwrap().subject())).collect();
    let level = |serial: u64| store.get(serial).unwrap().leak.severity;
    let newest: Vec<u64> = passing.iter().rev().copied().collect();
    let mut worst = newest.clone();
    worst.sort_by_key(|&serial| Reverse(level(serial)));
    for (sort, expected) in [(Sort::Newest, newest), (Sort::Worst, worst)] {
        let rows: Vec<u64> = (0..index.len()).map(|row| index.at(sort, row).unwrap()).collect();
        assert_eq!(rows, expected);
        assert_eq!(index.at(sort, index.len()), None);
        for (row, serial) in rows.into_iter().enumerate() {
            assert_eq!(index.row_of(sort, serial, level(serial)), Some(row));
        }
    }
    for by in By::ALL {
        let mut groups: HashMap<Arc<str>, Vec<u64>> = HashMap::new();
        for &serial in &passing {
            groups.entry(by.key(store.get(serial).unwrap())).or_default().push(serial);
        }
        assert_eq!(index.groups(by).len(), groups.len(), "{by:?}");
        for (key, members) in groups {
            let group = &index.groups(by)[&key];
            assert_eq!(group.members, members);
            assert_eq!(Some(group.worst()), members.iter().map(|&serial| level(serial)).max());
            assert_eq!(group.times, members.len() as u64);
        }
    }
    let secrets = index.groups(By::Secret).values().filter(|group| group.is_secret).count();
    assert_eq!(index.secrets(), secrets);
}

#[test]
fn leaks_that_come_and_go_are_where_they_belong() {
    for text in ["", "severity>=high", "host:shop", "-rule:stripe*"] {
        let filter = Filter::parse(text).unwrap();
        let (mut store, mut index) = (Store::new(40), Index::new());
        for number in 0..100 {
            if let Some((serial, gone)) = store.add(told(number)) {
                index.remove(serial, &gone);
            }
            // Some wait, as they do while a filter is applied.
            if number % 7 != 0 {
                index.advance(&mut store, &filter, usize::MAX >> 1, |_| false, |_, _, _| ());
                check(&index, &store, &filter);
            }
        }
        let other = Filter::parse("severity:low").unwrap();
        index.reset(&store);
        while index.progress(&store).is_some() {
            index.advance(&mut store, &other, 7, |_| false, |_, _, _| ());
        }
        check(&index, &store, &other);
    }
}

#[test]
fn what_goes_before_it_was_looked_at_is_in_no_list() {
    let filter = Filter::default();
    let (mut store, mut index) = (Store::new(5), Index::new());
    for number in 0..12 {
        if let Some((serial, gone)) = store.add(told(number)) {
            index.remove(serial, &gone);
        }
    }
    assert_eq!(index.len(), 0);
    index.advance(&mut store, &filter, 100, |_| false, |_, _, _| ());
    check(&index, &store, &filter);
    assert_eq!((index.len(), index.looked), (5, 5));
}

#[test]
fn groups_are_in_order_and_open_ones_hold_their_leaks() {
    let (mut store, mut index, mut tree) = (Store::new(2000), Index::new(), Tree::new(By::Endpoint, false));
    for number in 0..1500 {
        store.add(told(number));
    }
    index.advance(&mut store, &Filter::default(), 5000, |_| false, |_, _, _| ());
    assert!(tree.refresh(&index, Sort::Worst) && !tree.refresh(&index, Sort::Worst), "only where it changed");
    let groups = tree.rows.len();
    let Some(Row::Group(first)) = tree.rows.first().cloned() else { panic!() };
    tree.toggle(&first);
    assert!(tree.refresh(&index, Sort::Worst) && tree.is_open(&first));
    let held = index.groups(By::Endpoint)[&first].members.len();
    assert!(held > OPEN);
    assert_eq!(tree.rows.len(), groups + OPEN + 1);
    assert_eq!(tree.rows[OPEN + 1], Row::More(first, held - OPEN));
    for sort in [Sort::Newest, Sort::Worst] {
        tree.refresh(&index, sort);
        let groups: Vec<&Group> = tree
            .rows
            .iter()
            .filter_map(|row| match row {
                Row::Group(key) => index.groups(By::Endpoint).get(key),
                _ => None,
            })
            .collect();
        let is_sorted = match sort {
            Sort::Newest => groups.is_sorted_by_key(|group| Reverse(group.last)),
            Sort::Worst => groups.is_sorted_by_key(|group| Reverse((group.worst(), group.last))),
        };
        assert!(is_sorted, "{sort:?}");
    }
}
