-- Gaps that may be tried to heal now: open ones whose wait is over, and those whose healing ran out of its time. The least tried first.
select
    g.gap_id, g.instrument, g.stream, g.kind, g.from_time, g.to_time, g.first_missing, g.last_missing, g.cause, g.state, g.first_seen,
    g.attempts, g.last_reason
from gaps as g
where g.state in ('open', 'healing') and (g.next_attempt_at is null or g.next_attempt_at <= %(now)s)
order by g.attempts, g.first_seen, g.gap_id
limit %(most)s;
