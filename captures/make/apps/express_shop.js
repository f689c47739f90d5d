// An ordinary Express service, as it comes: its own error handler, which shows the stack outside of production.
const express = require('express');

const app = express();
app.use(express.json());
const charge = '@@charge@@';

app.get('/v1/forecast', (request, response) => response.json({ city: request.query.city, degrees: [7, 9, 11] }));
app.post('/v1/clients', (request, response) => response.status(201).json({ id: 7741, billing: { stripe_key: charge } }));
app.get('/v1/stock', () => {
  throw new Error('cannot connect to @@database@@');
});

app.listen(3000, '127.0.0.1');
