-- needs: accounts, calls
-- Calls of each account's own days. A call that the source no longer has is left out.
WITH accounts_zoned AS (
    SELECT id, name, CASE WHEN time_zone LIKE '%/%' THEN time_zone END AS zone FROM accounts WHERE _deleted_at IS NULL
)
SELECT
    CONVERT_TIMEZONE(COALESCE(a.zone, '${timezone}'), c.called_at)::DATE AS day,
    c.account_id,
    a.name AS account_name,
    COUNT_IF(c.direction IN ('inbound', 'outbound')) AS calls,
    COUNT_IF(c.direction = 'inbound') AS inbound,
    COUNT_IF(c.direction = 'outbound') AS outbound,
    COUNT_IF(c.direction NOT IN ('inbound', 'outbound')) AS messages_and_forms,
    COUNT_IF(c.direction IN ('inbound', 'outbound') AND c.dial_status IN ('answered', 'completed')) AS answered,
    COUNT_IF(c.direction = 'inbound' AND c.is_new_caller) AS new_callers,
    CAST(SUM(c.talk_time) / 60 AS NUMBER(18, 1)) AS talk_minutes
FROM calls AS c LEFT JOIN accounts_zoned AS a ON a.id = c.account_id
WHERE c._deleted_at IS NULL
GROUP BY 1, 2, 3
