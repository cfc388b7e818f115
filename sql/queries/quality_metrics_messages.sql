-- Messages that no channel took yet: how many, how many of them failed before, and how long the oldest is due.
select
    count(*) as waiting,
    count(*) filter (where m.attempts > 0) as failing,
    coalesce(extract(epoch from statement_timestamp() - least(min(m.not_before), statement_timestamp())), 0) as oldest_due_seconds
from alert_messages as m
where m.sent_at is null;
