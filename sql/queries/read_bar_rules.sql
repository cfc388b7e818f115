-- The rules of bars that hold, and with them those that were withdrawn where that is asked for.
select
    scope,
    rule,
    kind,
    threshold,
    declared_at,
    withdrawn_at
from bar_rules
where %(is_all)s or withdrawn_at is null
order by scope, kind, threshold, declared_at;
