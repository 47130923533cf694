<?php
// A guest book in one file: PHP, SQLite, no framework. The database lies beside www/, where the web cannot see it.
$db = new PDO('sqlite:' . dirname(__DIR__) . '/guestbook.sqlite');
$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$db->exec('CREATE TABLE IF NOT EXISTS entry (name TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)');

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $name = trim(mb_substr($_POST['name'] ?? '', 0, 40));
    $text = trim(mb_substr($_POST['text'] ?? '', 0, 500));
    if ($name !== '' && $text !== '') {
        $db->prepare('INSERT INTO entry (name, text) VALUES (?, ?)')->execute([$name, $text]);
    }
    header('Location: ' . strtok($_SERVER['REQUEST_URI'], '?'), true, 303);
    exit;
}
$entries = $db->query('SELECT name, text, at FROM entry ORDER BY rowid DESC LIMIT 50')->fetchAll();
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Guest book</title>
<link rel="stylesheet" href="style.css">
<h1>Guest book</h1>
<form method="post">
  <input name="name" placeholder="Your name" maxlength="40" required>
  <textarea name="text" placeholder="A few words" maxlength="500" required></textarea>
  <button>Sign</button>
</form>
<?php foreach ($entries as $e): ?>
<article>
  <p><?= nl2br(htmlspecialchars($e['text'])) ?></p>
  <footer><?= htmlspecialchars($e['name']) ?>, <?= htmlspecialchars($e['at']) ?></footer>
</article>
<?php endforeach ?>
<p><small>PHP <?= PHP_VERSION ?>, <?= count($entries) ?> entries</small></p>
