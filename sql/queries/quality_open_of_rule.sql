-- What a rule is broken by that is of no day: tables, or checks that broke down.
select f.relation from findings as f where f.state = 'open' and f.rule = %(rule)s and f.day is null;
