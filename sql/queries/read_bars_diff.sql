-- The bars that differ between what was known at two times, both sides whole, as texts: whoever reads them keeps their digits.
select
    coalesce(b.bar_start, a.bar_start) as bar_start,
    (to_jsonb(b) - array['instrument', 'bar_start'])::text as before,
    (to_jsonb(a) - array['instrument', 'bar_start'])::text as after,
    b.known_at as known_before,
    a.known_at as known_after
from bars_as_known(%(interval)s, %(instrument)s, %(since)s, %(until)s, %(as_known_at)s) as b
full outer join bars_as_known(%(interval)s, %(instrument)s, %(since)s, %(until)s, %(and_at)s) as a on b.bar_start = a.bar_start
where b.known_at is distinct from a.known_at
order by bar_start;
