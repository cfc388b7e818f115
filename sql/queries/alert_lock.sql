-- One at a time decides what is told, until its transaction ends.
select pg_advisory_xact_lock(hashtextextended('alerts|reconcile', 0));
