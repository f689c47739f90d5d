// `java -cp LIBRARIES Shop.java PORT debug|production`: Jetty's own error page for a servlet that throws.
import java.util.Map;
import javax.servlet.http.*;
import org.eclipse.jetty.server.*;
import org.eclipse.jetty.server.handler.ErrorHandler;
import org.eclipse.jetty.servlet.*;

public class Shop {
    static int total(Map<String, Integer> cart) {
        return cart.get("rates") * 7;
    }

    public static class Boom extends HttpServlet {
        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws java.io.IOException {
            response.getWriter().println(total(Map.of("lines", 3)));
        }
    }

    public static void main(String[] arguments) throws Exception {
        Server server = new Server(new java.net.InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])));
        ServletContextHandler context = new ServletContextHandler();
        context.addServlet(Boom.class, "/boom");
        ErrorPageErrorHandler pages = new ErrorPageErrorHandler();
        pages.setShowStacks(arguments[1].equals("debug"));
        context.setErrorHandler(pages);
        server.setHandler(context);
        server.start();
        server.join();
    }
}
