-- Declares rules in a scope; those that hold there already are left as they are.
insert into bar_rules (scope, rule, kind, threshold, declared_at)
select %(scope)s, given.rule, given.kind, given.threshold, %(known_at)s
from unnest(%(rules)s::text[], %(kinds)s::text[], %(thresholds)s::numeric[]) as given (rule, kind, threshold)
on conflict (scope, rule) where withdrawn_at is null do nothing;
