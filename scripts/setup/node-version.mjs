// Imported before anything else, and plain enough for the old versions that it turns away.
const parts = process.versions.node.split('.').map(Number);
if (parts[0] < 20 || (parts[0] === 20 && parts[1] < 19)) {
  process.stderr.write(
    'NibbleLens needs Node 20.19 or later; this is Node ' + process.versions.node + '. Get one from https://nodejs.org\n',
  );
  process.exit(2);
}
