-- Gaps by state and cause, and how long the oldest of them is known.
select
    g.state,
    g.cause,
    count(*) as gaps,
    extract(epoch from statement_timestamp() - min(g.first_seen)) as oldest_seconds
from gaps as g
group by g.state, g.cause;
