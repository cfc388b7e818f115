-- Locks each name until the end of the transaction, in the order of the keys: no two writers wait in a circle.
select count(pg_advisory_xact_lock(ordered.lock_key))
from (
    select distinct hashtextextended(named.lock_name, 0) as lock_key
    from unnest(%(names)s::text[]) as named (lock_name)
    order by lock_key
    offset 0
) as ordered;
